# A private RabbitMQ node: own cookie, own epmd, every port on loopback only.

# The binaries beside the server: what Debian puts in PATH switches to user `rabbitmq`, and refuses everybody else.
rabbitmq_bin() {
    local dir
    if [ -n "${RABBITMQ_BIN:-}" ]; then return; fi
    for dir in /usr/lib/rabbitmq/bin /opt/homebrew/opt/rabbitmq/sbin /usr/local/opt/rabbitmq/sbin \
        "$(dirname "$(command -v rabbitmq-server || echo /x)")"; do
        if [ -x "$dir/rabbitmq-server" ] && [ -x "$dir/rabbitmqctl" ]; then
            RABBITMQ_BIN=$dir
            return
        fi
    done
    return 1
}

epmd_bin() {
    # shellcheck disable=SC2012
    command -v epmd || ls /usr/lib/erlang/erts-*/bin/epmd 2>/dev/null | sort -V | tail -n 1
}

# Sets RABBITMQ_ENV, the prefix of every command that concerns our node. `-i`: nothing of the caller's RABBITMQ_* may leak in.
rabbitmq_env() {
    local dir="$STATE/rabbitmq"
    RABBITMQ_ENV=(env -i PATH="$PATH" LANG=C.UTF-8 LC_ALL=C.UTF-8 HOME="$dir/home"
        ERL_EPMD_PORT="$PORT_EPMD" ERL_EPMD_ADDRESS=127.0.0.1
        RABBITMQ_NODENAME=automation@localhost
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$PORT_AMQP" RABBITMQ_DIST_PORT="$PORT_AMQP_DIST"
        RABBITMQ_CTL_DIST_PORT_MIN="$PORT_AMQP_CTL" RABBITMQ_CTL_DIST_PORT_MAX="$((PORT_AMQP_CTL + 5))"
        RABBITMQ_MNESIA_BASE="$dir/data" RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_PID_FILE="$dir/node.pid"
        RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins" RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf"
        RABBITMQ_CONF_ENV_FILE="$dir/rabbitmq-env.conf"
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
        AUTOMATION_DEV_PROCESS="$STATE/run/rabbitmq"
        # Makes the start script become the Erlang machine, so the pid we record is the node's own.
        RUNNING_UNDER_SYSTEMD=true)
}

rabbitmqctl() {
    rabbitmq_env
    "${RABBITMQ_ENV[@]}" "$RABBITMQ_BIN/rabbitmqctl" "$@"
}

rabbitmq_configure() {
    local dir="$STATE/rabbitmq"
    mkdir -p "$dir/home" "$dir/data" "$dir/log"
    # Erlang wants its cookie readable by the owner alone, and not writable.
    if [ "$(cat "$dir/home/.erlang.cookie" 2>/dev/null)" != "$SECRET_AMQP_COOKIE" ]; then
        printf '%s' "$SECRET_AMQP_COOKIE" | write_file "$dir/home/.erlang.cookie"
        chmod 400 "$dir/home/.erlang.cookie"
    fi
    : >"$dir/rabbitmq-env.conf"
    echo '[rabbitmq_management].' | write_file "$dir/enabled_plugins"
    # default_user counts only on the first start, when the node's database is empty.
    write_file "$dir/rabbitmq.conf" <<CONF
default_user = admin
default_pass = $SECRET_AMQP_ADMIN
default_user_tags.administrator = true
management.tcp.ip = 127.0.0.1
management.tcp.port = $PORT_AMQP_MANAGEMENT
# A laptop's disk is rarely empty; the default would block publishers below the size of its memory.
disk_free_limit.absolute = 200MB
vm_memory_high_watermark.absolute = 2GB
raft.wal_max_size_bytes = 64000000
# Events that are refused are kept with their bytes up to this size.
max_message_size = 16777216
cluster_partition_handling = pause_minority
log.console = true
log.console.level = info
log.file = false
CONF
    # What somebody wants to try: a listener for TLS, a lower limit.
    if [ -f "$dir/extra.conf" ]; then cat "$dir/extra.conf" >>"$dir/rabbitmq.conf"; fi
}

# epmd is started by hand: the one Erlang starts by itself goes to the background, outlives the node, and is nobody's.
epmd_start() {
    if process_lives epmd; then return; fi
    if process_lives rabbitmq; then
        # The node knows this port, and registers itself again within a minute; it may also have started an epmd there.
        if port_answers "$PORT_EPMD"; then return; fi
    else
        exchange_taken_ports EPMD
    fi
    process_start epmd env ERL_EPMD_ADDRESS=127.0.0.1 "$(epmd_bin)" -port "$PORT_EPMD"
    process_await epmd 10 port_answers "$PORT_EPMD"
}

# A running node is never started again: the second start would fail, but not before deleting the first one's pid file.
rabbitmq_start() {
    epmd_start
    if process_lives rabbitmq; then return; fi
    exchange_taken_ports AMQP AMQP_MANAGEMENT AMQP_DIST
    rabbitmq_configure
    step "Starting RabbitMQ on 127.0.0.1:$PORT_AMQP (some seconds)"
    rabbitmq_env
    (cd / && process_start rabbitmq "${RABBITMQ_ENV[@]}" "$RABBITMQ_BIN/rabbitmq-server")
}

# The management API answers only when the node has started completely; the AMQP port alone may open before that.
rabbitmq_answers() {
    local code
    code=$(management GET /api/overview 2>/dev/null) || true
    case $code in
    200) port_answers "$PORT_AMQP" ;;
    401) rabbitmq_restore_admin ;;
    *) return 1 ;;
    esac
}

# The first start was interrupted between creating the virtual host and the user, or secrets.env was lost.
rabbitmq_restore_admin() {
    # Asked for on standard input: arguments are visible to every user in `ps`.
    rabbitmqctl -q add_user admin <<<"$SECRET_AMQP_ADMIN" >/dev/null 2>&1 ||
        rabbitmqctl -q change_password admin <<<"$SECRET_AMQP_ADMIN" >/dev/null 2>&1 || return 1
    rabbitmqctl -q set_user_tags admin administrator >/dev/null 2>&1 || return 1
    return 1 # asked again in a moment
}

rabbitmq_await() { process_await rabbitmq 120 rabbitmq_answers; }

# Prints the HTTP status. Passwords go through file descriptors: arguments are visible to every user in `ps`.
management() { # method path [json]
    curl -sS --max-time 10 -o /dev/null -w '%{http_code}' -X "$1" -H 'content-type: application/json' \
        -K <(printf 'user = "admin:%s"\n' "$SECRET_AMQP_ADMIN") ${3:+--data-binary @<(printf %s "$3")} \
        "http://127.0.0.1:$PORT_AMQP_MANAGEMENT$2"
}

# Prints what the API answers.
management_read() { # path
    curl -sS --fail --max-time 10 -K <(printf 'user = "admin:%s"\n' "$SECRET_AMQP_ADMIN") \
        "http://127.0.0.1:$PORT_AMQP_MANAGEMENT$1"
}

management_do() { # method path json
    local code
    code=$(management "$@") || die "RabbitMQ's management API does not answer on port $PORT_AMQP_MANAGEMENT."
    case $code in
    201 | 204) ;;
    *) die "RabbitMQ answered $code to $1 $2; ./dev reset begins from nothing." ;;
    esac
}

management_put() { management_do PUT "$@"; } # path json

# The mark is the node's own, so that it goes with the node's data.
rabbitmq_prepared() { # fingerprint
    management_read /api/global-parameters/dev-prepared 2>/dev/null | grep -qF "\"$1\""
}

# PUT and the import are idempotent throughout.
rabbitmq_prepare() {
    local fingerprint permissions="$ROOT/rabbitmq/permissions.json" all='{"configure":".*","write":".*","read":".*"}'
    fingerprint=$(cat "$STATE/secrets.env" "$ROOT/scripts/dev/rabbitmq.sh" "$permissions" | sha256sum | cut -c1-32)
    if rabbitmq_prepared "$fingerprint"; then return; fi
    management_put /api/vhosts/automation '{}'
    management_put /api/users/admin "{\"password\":\"$SECRET_AMQP_ADMIN\",\"tags\":\"administrator\"}"
    # `monitoring` lets the engine read its queues' state through the management API, and change nothing there.
    management_put /api/users/automation-engine "{\"password\":\"$SECRET_AMQP_ENGINE\",\"tags\":\"monitoring\"}"
    management_put /api/users/automation-door "{\"password\":\"$SECRET_AMQP_DOOR\",\"tags\":\"\"}"
    management_put /api/users/demo-publisher "{\"password\":\"$SECRET_AMQP_DEMO\",\"tags\":\"\"}"
    management_put /api/permissions/%2F/admin "$all"
    management_put /api/permissions/automation/admin "$all"
    # What `automation topology export --permissions` prints: a role that needs more than it may shows it here first.
    management_do POST /api/definitions "$(cat "$permissions")"
    management_put /api/permissions/automation/demo-publisher \
        '{"configure":"^$","write":"^automation\\.events$","read":"^$"}'
    management_put /api/global-parameters/dev-prepared "{\"name\":\"dev-prepared\",\"value\":\"$fingerprint\"}"
}

amqp_url() { # user password [vhost]
    echo "amqp://$1:$2@127.0.0.1:$PORT_AMQP${3:+/$3}"
}

management_url() { # user password
    echo "http://$1:$2@127.0.0.1:$PORT_AMQP_MANAGEMENT"
}
