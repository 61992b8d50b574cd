# Private ports on loopback: chosen once, kept in ports.env, exchanged only if something else took one meanwhile.

PORT_NAMES="POSTGRES AMQP AMQP_MANAGEMENT AMQP_DIST EPMD AMQP_CTL DOOR_ADMIN DOOR_HTTP INGEST_ADMIN EXECUTOR_ADMIN SCHEDULER_ADMIN API_ADMIN"

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below 32768: from there on the kernel hands out ports to outgoing connections, and one could sit on ours.
pick_port() {
    local port
    while :; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        grep -qs "=$port\$" "$STATE/ports.env" && continue
        port_answers "$port" || break
    done
    echo "$port"
}

load_ports() {
    local name
    # shellcheck disable=SC1091
    if [ -f "$STATE/ports.env" ]; then . "$STATE/ports.env"; fi
    for name in $PORT_NAMES; do
        name="PORT_$name"
        if [ -z "${!name:-}" ]; then set_port "$name" "$(pick_port)"; fi
    done
}

set_port() { # PORT_NAME value
    { grep -sv "^$1=" "$STATE/ports.env" || true; echo "$1=$2"; } | write_file "$STATE/ports.env"
    printf -v "$1" '%s' "$2"
}

# For something about to start: whatever answers there now is not ours.
exchange_taken_ports() { # NAME...
    local name port
    for name in "$@"; do
        name="PORT_$name"
        if port_answers "${!name}"; then
            port=$(pick_port)
            say "Port ${!name} was taken by another program; using $port instead."
            set_port "$name" "$port"
        fi
    done
}
