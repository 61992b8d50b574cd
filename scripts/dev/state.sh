# Where everything private lives, and the lock that keeps two `./dev` from working on it at once.
#
#   .automation/ports.env     ports, chosen once
#   .automation/secrets.env   generated passwords (0600)
#   .automation/run/          pid files, markers
#   .automation/log/          a log per server and per role
#   .automation/postgres/     the data directory (or a link to one that user `postgres` can reach)
#   .automation/rabbitmq/     the node's data, configuration and cookie

# Tests that kill servers have some of their own, in another folder.
STATE="${AUTOMATION_HOME:-$ROOT/.automation}"
# Servers are started from `/`, where a relative path would mean another folder.
case $STATE in /*) ;; *) STATE="$PWD/$STATE" ;; esac

open_state() {
    umask 077
    if [ -e "$STATE" ] && [ ! -O "$STATE" ]; then
        die "$STATE belongs to another user; run as that user, or remove it there with ./dev reset."
    fi
    mkdir -p "$STATE/run" "$STATE/log"
    # Root runs Postgres as another user, who has to pass through here; nothing in it is readable to others.
    if [ "$(id -u)" = 0 ]; then chmod 711 "$STATE"; fi
}

# Whether it is written down where everything listens and what it asks for.
access_known() { [ -f "$STATE/ports.env" ] && [ -f "$STATE/secrets.env" ]; }

# Held on descriptor 9, so the kernel drops it with the process however that ends: there is no stale lock.
# Whatever outlives this script must be started with `9>&-`, or it would hold the lock for ever.
lock() {
    while :; do
        exec 9>"$STATE/lock"
        has flock || return 0 # macOS has none
        if ! flock -n 9; then
            say "Another ./dev is at work here; waiting for it."
            flock 9
        fi
        # A `reset` that went before deleted the file we waited on; then the new one counts.
        if [ "$STATE/lock" -ef /dev/fd/9 ]; then return 0; fi
        open_state
    done
}

unlock() { exec 9>&-; }

# Replaces a file in one step, so an interrupted write leaves the former content.
write_file() { # path; content on stdin
    cat >"$1.new"
    mv -f "$1.new" "$1"
}
