# Postgres and RabbitMQ together.

# `servers-wanted` says that somebody asked for servers that stay; without it they belong to running tests only.
servers_up() {
    open_state
    require_packages
    lock
    load_ports
    load_secrets
    postgres_start
    rabbitmq_start
    postgres_await
    postgres_prepare
    rabbitmq_await
    rabbitmq_prepare
}

servers_want() { : >"$STATE/run/servers-wanted"; }
servers_wanted() { [ -e "$STATE/run/servers-wanted" ]; }

servers_down() {
    rm -f "$STATE/run/servers-wanted"
    rabbitmq_stop
    postgres_stop
}

servers_live() { process_lives postgres && process_lives rabbitmq; }

# For commands that only talk to what runs.
require_running() {
    [ -d "$STATE" ] && load_ports && load_secrets && servers_live || die "nothing runs here; start it with ./dev up."
}
