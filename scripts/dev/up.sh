# `up`: from nothing, or from wherever an earlier one stopped, to a running engine. Every step may be repeated.

up() {
    local detach=no demo=yes argument
    for argument in "$@"; do
        case $argument in
        --detach) detach=yes ;;
        --no-demo) demo=no ;;
        *) die "up does not know '$argument'; it takes --detach and --no-demo." ;;
        esac
    done
    require_cargo
    trap 'say "Interrupted. ./dev up goes on from here, ./dev down stops everything."; exit 130' INT TERM
    if servers_given; then
        step "Using the servers of DATABASE_URL and AMQP_URL"
        open_state
        lock
        load_ports
        load_secrets
        build
    else
        servers_launch
        servers_want
        build # while the servers start
        servers_await
    fi
    prepare
    roles_up
    if [ "$demo" = yes ]; then demo_once; fi
    say "Running. ./dev ps lists the processes, ./dev cli … talks to them, ./dev down stops them; logs are in $STATE/log."
    unlock
    if [ "$detach" = no ]; then follow; fi
}

# Schema, topology, and a tenant to work in. Each command changes nothing when there is nothing to change.
prepare() {
    automation migrate >&2
    automation topology apply >&2
    automation tenant create demo --if-not-exists >&2
    example_once
}

# Once per database, like the demo: what was changed since then stays changed.
example_once() {
    if marked examples; then return; fi
    automation tenant grant demo --user demo-publisher --types '*' >&2
    local file
    set --
    for file in "$ROOT"/examples/*.yaml; do
        case $file in *.test.yaml | *\**) ;; *) set -- "$@" "$file" ;; esac
    done
    if [ $# -gt 0 ]; then automation workflow apply "$@" --tenant demo >&2; fi
    mark examples
}

# Shows the logs until Ctrl-C, and then stops what `up` started. A role that ends is reported, never restarted.
follow() {
    local role gone=" " tail_pid
    step "Following the logs; Ctrl-C stops everything (--detach leaves it running)"
    tail -n 0 -F "$STATE"/log/{door,ingest,executor,scheduler}.log &
    tail_pid=$!
    trap 'trap - INT TERM; kill "$tail_pid" 2>/dev/null || true; down; exit 0' INT TERM
    while roles_live; do
        for role in $ROLES; do
            if ! process_lives "$role" && [[ $gone != *" $role "* ]]; then
                gone="$gone$role "
                say "$role has stopped; ./dev up starts it again."
            fi
        done
        sleep 1
    done
    kill "$tail_pid" 2>/dev/null || true
    say "All roles have stopped."
}

down() {
    open_state
    lock
    load_ports
    load_secrets
    roles_down
    servers_down
    unlock
}

reset() {
    if [ ! -e "$STATE" ]; then
        say "There is nothing to delete."
        return
    fi
    open_state
    lock
    load_ports
    load_secrets
    roles_down
    servers_down
    step "Deleting $STATE"
    local linked
    linked=$(readlink "$STATE/postgres" || true)
    case $linked in
    /var/tmp/automation-*) rm -rf "$linked" ;;
    esac
    rm -rf "$STATE"
    unlock
}
