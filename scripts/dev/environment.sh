# Which variables each program gets. All print NAME=value lines.

# For tests: as administrator of both servers, because every test makes its own database and virtual host.
# Whoever has such servers already gives all three variables.
test_env() {
    if test_servers_given; then
        env | grep '^AUTOMATION_TEST_'
        return
    fi
    cat <<ENV
AUTOMATION_TEST_DATABASE_URL=$(postgres_url postgres "$SECRET_PG_SUPERUSER" postgres)
AUTOMATION_TEST_AMQP_URL=$(amqp_url admin "$SECRET_AMQP_ADMIN")
AUTOMATION_TEST_AMQP_MANAGEMENT_URL=$(management_url admin "$SECRET_AMQP_ADMIN")
ENV
}

test_servers_given() {
    [ "${AUTOMATION_DEV:-}" != 1 ] && [ -n "${AUTOMATION_TEST_DATABASE_URL:-}" ] &&
        [ -n "${AUTOMATION_TEST_AMQP_URL:-}" ] && [ -n "${AUTOMATION_TEST_AMQP_MANAGEMENT_URL:-}" ]
}

# For one role's process: the login that may do what the role needs, and nothing beyond.
role_env() { # role
    if servers_given; then
        case $1 in
        door) echo "DATABASE_URL=${AUTOMATION_DOOR_DATABASE_URL:-$DATABASE_URL}" ;;
        scheduler) echo "DATABASE_URL=${AUTOMATION_SCHEDULER_DATABASE_URL:-$DATABASE_URL}" ;;
        *) echo "DATABASE_URL=${AUTOMATION_WORKER_DATABASE_URL:-$DATABASE_URL}" ;;
        esac
    else
        role_servers_env "$1"
        users_env
    fi
    # The executor uses credentials; the door checks who calls webhooks.
    case $1 in
    door)
        echo "AUTOMATION_DOOR_KEYS=${AUTOMATION_DOOR_KEYS:-$SECRET_DOOR_KEYS}"
        echo "AUTOMATION_HTTP_ADDR=127.0.0.1:$PORT_DOOR_HTTP"
        ;;
    executor) echo "AUTOMATION_ENCRYPTION_KEYS=${AUTOMATION_ENCRYPTION_KEYS:-$SECRET_ENCRYPTION_KEYS}" ;;
    esac
    cat <<ENV
AUTOMATION_ADMIN_ADDR=127.0.0.1:$(role_port "$1")
RUST_LOG=${RUST_LOG:-info}
ENV
}

role_servers_env() { # role
    case $1 in
    door)
        echo "DATABASE_URL=$(postgres_url automation_door "$SECRET_PG_DOOR" automation)"
        echo "AMQP_URL=$(amqp_url automation-door "$SECRET_AMQP_DOOR" automation)"
        return
        ;;
    scheduler) echo "DATABASE_URL=$(postgres_url automation_scheduler "$SECRET_PG_SCHEDULER" automation)" ;;
    *) echo "DATABASE_URL=$(postgres_url automation_worker "$SECRET_PG_WORKER" automation)" ;;
    esac
    echo "AMQP_URL=$(amqp_url automation-engine "$SECRET_AMQP_ENGINE" automation)"
    echo "AUTOMATION_AMQP_MANAGEMENT_URL=$(management_url automation-engine "$SECRET_AMQP_ENGINE")"
}

# Who may publish for others: the same for every process.
users_env() {
    echo "AUTOMATION_ENGINE_USERS=automation-engine"
    echo "AUTOMATION_DOOR_USERS=automation-door"
}

# For the command line: the operator, and for migrations the owner.
cli_env() { # arguments...
    if servers_given; then
        echo "DATABASE_URL=${AUTOMATION_OPERATOR_DATABASE_URL:-$DATABASE_URL}"
        echo "AUTOMATION_OWNER_DATABASE_URL=${AUTOMATION_OWNER_DATABASE_URL:-$DATABASE_URL}"
    else
        cat <<ENV
DATABASE_URL=$(postgres_url automation_operator "$SECRET_PG_OPERATOR" automation)
AMQP_URL=$(amqp_url automation-engine "$SECRET_AMQP_ENGINE" automation)
AUTOMATION_AMQP_MANAGEMENT_URL=$(management_url admin "$SECRET_AMQP_ADMIN")
ENV
        users_env
        case " $* " in
        *" migrate "*)
            echo "AUTOMATION_OWNER_DATABASE_URL=$(postgres_url automation_owner "$SECRET_PG_OWNER" automation)"
            ;;
        # Only workers may read data keys. The later line counts.
        *" credential rekey "* | *" hook rekey "*)
            echo "DATABASE_URL=$(postgres_url automation_worker "$SECRET_PG_WORKER" automation)"
            ;;
        esac
    fi
    echo "AUTOMATION_PROGRAM=${AUTOMATION_PROGRAM:-./dev cli}"
    echo "AUTOMATION_ENCRYPTION_KEYS=${AUTOMATION_ENCRYPTION_KEYS:-$SECRET_ENCRYPTION_KEYS}"
    echo "AUTOMATION_DOOR_KEYS=${AUTOMATION_DOOR_KEYS:-$SECRET_DOOR_KEYS}"
    echo "AUTOMATION_AUDIT_KEYS=${AUTOMATION_AUDIT_KEYS:-$SECRET_AUDIT_KEYS}"
    echo "AUTOMATION_TENANT=${AUTOMATION_TENANT:-demo}"
}

# For a publisher: what another service would be given, and nothing of the engine's.
publisher_env() {
    if servers_given; then
        echo "AMQP_URL=$AUTOMATION_DEMO_AMQP_URL"
    else
        echo "AMQP_URL=$(amqp_url demo-publisher "$SECRET_AMQP_DEMO" automation)"
    fi
    echo "AUTOMATION_TENANT=demo"
}

# For a person's shell: `eval "$(./dev env)"`.
shell_env() {
    echo "AUTOMATION_DEV=1"
    publisher_env
    echo "AUTOMATION_HTTP_URL=http://127.0.0.1:$PORT_DOOR_HTTP"
    echo "DATABASE_URL=$(postgres_url automation_api "$SECRET_PG_API" automation)"
    echo "AUTOMATION_AMQP_MANAGEMENT_URL=$(management_url admin "$SECRET_AMQP_ADMIN")"
}

# NAME=value lines to `export` lines for a shell.
as_exports() { sed "s/'/'\\\\''/g; s/^\([A-Z_]*\)=\(.*\)\$/export \1='\2'/"; }

# Runs a command with the variables that a function above prints.
# They are exported here and not given to `env` as arguments, which every user could read in `ps`.
with_env() { # function-and-arguments, as one word; command...
    local exports printer
    read -ra printer <<<"${1//$'\n'/ }"
    exports=$("${printer[@]}" | as_exports) || return
    shift
    (
        eval "$exports"
        "$@"
    )
}
