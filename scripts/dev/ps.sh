# `ps`: what runs. Only living processes are in the JSON, so a program may use every pid in it.

ps_rows() { # name port
    local pid
    pid=$(process_pid "$1") || pid=
    echo "$1 ${pid:--} $2"
}

ps_all() {
    local role
    if ! servers_given; then
        ps_rows postgres "$PORT_POSTGRES"
        ps_rows rabbitmq "$PORT_AMQP"
    fi
    for role in $ROLES; do ps_rows "$role" "$(role_port "$role")"; done
}

ps_command() {
    case $* in
    '' | --json) ;;
    *) die "ps does not know '$*'; it takes --json." ;;
    esac
    # `ps` on a fresh clone is no reason to create anything.
    if [ ! -f "$STATE/ports.env" ]; then
        if [ "${1:-}" = --json ]; then echo '[]'; else echo "Nothing runs; ./dev up starts everything."; fi
        return
    fi
    load_ports
    # Before there is a table: what goes wrong here is said alone.
    local rows
    rows=$(ps_all)
    case ${1:-} in
    --json) awk 'BEGIN { printf "[" }
        $2 != "-" { printf "%s{\"role\":\"%s\",\"pid\":%s,\"port\":%s}", sep, $1, $2, $3; sep = "," }
        END { print "]" }' <<<"$rows" ;;
    '') awk 'BEGIN { printf "%-10s %8s %6s\n", "ROLE", "PID", "PORT" }
        { printf "%-10s %8s %6s\n", $1, $2 == "-" ? "stopped" : $2, $3 }' <<<"$rows" ;;
    esac
}
