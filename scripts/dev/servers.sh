# Postgres and RabbitMQ together: private ones, or those whose URLs were given.

# AUTOMATION_DEV=1, which `./dev env` prints, says that the URLs in the environment are our own private servers'.
servers_given() {
    [ "${AUTOMATION_DEV:-}" != 1 ] || return 1
    [ -n "${DATABASE_URL:-}" ] && [ -n "${AMQP_URL:-}" ] && return 0
    if [ -n "${DATABASE_URL:-}${AMQP_URL:-}" ]; then
        die "only one of DATABASE_URL and AMQP_URL is set: set both to use your own servers, or neither for private ones."
    fi
    return 1
}

# Starts what does not run yet, without waiting for it.
servers_launch() {
    open_state
    require_packages
    lock
    stop_what_cannot_be_reached
    load_ports
    load_secrets
    postgres_start
    rabbitmq_start
}

# Without the files that name ports and passwords, nobody can talk to what runs; with new ones it is started again.
stop_what_cannot_be_reached() {
    local name
    if access_known; then return; fi
    for name in $ROLES postgres rabbitmq epmd; do
        if process_lives "$name"; then
            say "ports.env or secrets.env is gone, so everything that runs is started again."
            roles_down
            servers_down
            return
        fi
    done
}

servers_await() {
    postgres_await
    postgres_prepare
    rabbitmq_await
    rabbitmq_prepare
}

servers_up() {
    servers_launch
    servers_await
}

# The mark says that somebody asked for servers that stay; without it they belong to the tests that are running.
servers_want() { : >"$STATE/run/servers-wanted"; }
servers_wanted() { [ -e "$STATE/run/servers-wanted" ]; }

servers_down() {
    rm -f "$STATE/run/servers-wanted"
    if process_lives rabbitmq || process_lives postgres; then step "Stopping the servers"; fi
    # Both at once: RabbitMQ takes some seconds.
    process_signal rabbitmq TERM
    postgres_stop
    process_await_end rabbitmq 60
    process_stop epmd TERM 5
}

servers_live() { process_lives postgres && process_lives rabbitmq; }

# For commands that only talk to what runs.
require_running() {
    if ! servers_live || ! access_known; then die "no servers run here; start them with ./dev up."; fi
    load_ports
    load_secrets
}
