# `cli`: the command line with what it needs of what runs here. What needs no server runs without one; what needs one says itself
# that nobody answers.

cli() { # arguments...
    local status=0
    attach_cli
    if [ ! -x "$AUTOMATION" ]; then build; fi
    case " $* " in
    *" --admin-addr"* | *" --help "* | *" -h "*) automation "$@" || status=$? ;;
    " health "* | " --json health "*) cli_health "$@" || status=$? ;;
    *) automation "$@" || status=$? ;;
    esac
    # 4: a server cannot be reached. The other two look for what does not run.
    case $status:$1 in 4:* | 1:doctor | 1:health) cli_say_what_is_away ;; esac
    return "$status"
}

attach_cli() {
    if servers_given; then
        attach
    elif access_known; then
        load_ports
        load_secrets
    else
        # Nothing was started yet, and a command line is no reason to make anything here: it gets ports and passwords for this
        # once, which lead nowhere.
        local state=$STATE
        STATE=$(mktemp -d)
        load_ports
        load_secrets
        rm -rf "$STATE"
        STATE=$state
    fi
}

# Each role is a process with an admin port of its own; elsewhere one is asked that runs beside the command line.
cli_health() { # arguments...
    local role status=0
    if [ -n "${AUTOMATION_ADMIN_ADDR:-}" ]; then
        automation "$@"
        return
    fi
    for role in $ROLES; do
        step "$role"
        AUTOMATION_ADMIN_ADDR="127.0.0.1:$(role_port "$role")" automation "$@" || status=$?
        # What is typed wrong is wrong for all.
        if [ "$status" = 2 ]; then break; fi
    done
    return "$status"
}

cli_say_what_is_away() {
    local name names=$ROLES away=
    if ! servers_given; then names="postgres rabbitmq $ROLES"; fi
    for name in $names; do
        if ! process_lives "$name"; then away="$away, $name"; fi
    done
    if [ -n "$away" ]; then
        say "Not running here: ${away#, }. ./dev up starts what does not run."
    elif ! access_known; then
        say "ports.env or secrets.env is gone; ./dev up starts everything again."
    fi
}
