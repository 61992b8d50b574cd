# `up` comes back from whatever is gone of its folder: it begins from nothing, and then deletes each part in turn, once with
# everything stopped, and where that is something people do, under what runs.

PROVE_ABOUT="./dev up comes back when any part of its folder was deleted (10 min)"

prove_up_whole() {
    local part under_way="ports.env secrets.env run log lock tools"
    require_cargo
    UP_HOME=$(mktemp -d /tmp/automation-prove-up-XXXXXX)
    trap up_clean EXIT
    up_again "nothing"
    for part in $(cd "$UP_HOME" && find . -mindepth 1 -maxdepth 2 -not -path './log/*' | sort); do
        part=${part#./}
        up_dev down
        [ -e "$UP_HOME/$part" ] || [ -L "$UP_HOME/$part" ] || continue
        up_delete "$part"
        up_again "$part, deleted while all was stopped"
    done
    for part in $under_way; do
        [ -e "$UP_HOME/$part" ] || continue
        up_delete "$part"
        up_again "$part, deleted under what runs"
    done
}

# With no URLs of a shell's own: they would name other servers.
up_dev() {
    env -u DATABASE_URL -u AMQP_URL -u AUTOMATION_DEV AUTOMATION_HOME="$UP_HOME" "$ROOT/dev" "$@" >>"$UP_HOME.log" 2>&1 9>&- ||
        up_fail "./dev $* ended with $?"
}

# A link leads to what it stands for: the data is to go, not the link alone.
up_delete() { # part
    if [ -L "$UP_HOME/$1" ]; then rm -rf "$(readlink "$UP_HOME/$1")"; fi
    rm -rf "${UP_HOME:?}/$1"
}

# Up is what answers: the demo's events become runs, each role is one process, and all of them end when they are asked to.
up_again() { # after-what
    say "    up after: $1"
    up_dev up --detach
    up_dev demo
    local role count
    for role in $ROLES; do
        count=$(STATE=$UP_HOME process_carriers "$role" | wc -l)
        [ "$count" = 1 ] || up_fail "$count processes of $role run after: $1"
    done
}

up_fail() {
    say "The last lines of $UP_HOME.log:"
    tail -n 20 "$UP_HOME.log" | sed 's/^/    /' >&2
    die "$1"
}

up_clean() {
    local status=$?
    trap - EXIT
    AUTOMATION_HOME="$UP_HOME" "$ROOT/dev" reset >>"$UP_HOME.log" 2>&1 || true
    rm -rf "$UP_HOME"
    [ "$status" != 0 ] || rm -f "$UP_HOME.log"
    exit "$status"
}
