# A private Postgres: TCP on loopback only, scram passwords, data under .automation/.

# Debian keeps the server's binaries out of PATH, and what PATH has may be a wrapper of another version.
postgres_bin() {
    local dir
    if [ -n "${POSTGRES_BIN:-}" ]; then return; fi
    # shellcheck disable=SC2012
    for dir in "$(pg_config --bindir 2>/dev/null || true)" $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) \
        /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin "$(dirname "$(command -v initdb || echo /x)")"; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && [ -x "$dir/psql" ]; then
            POSTGRES_BIN=$dir
            return
        fi
    done
    return 1
}

# Postgres refuses to run as root.
as_postgres_user() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

# Sets PGROOT: .automation/postgres, or the folder it links to when user `postgres` cannot enter this clone
# (a clone under /root, or in a folder made by mktemp).
postgres_root() {
    if [ "$(id -u)" = 0 ] && ! id postgres >/dev/null 2>&1; then
        die "there is no user 'postgres', and Postgres refuses to run as root; run ./dev as another user."
    fi
    PGROOT="$STATE/postgres"
    if [ -L "$PGROOT" ]; then
        PGROOT=$(readlink "$PGROOT")
        claim_outside_root
    elif [ ! -d "$PGROOT" ]; then
        if [ "$(id -u)" != 0 ]; then
            mkdir "$PGROOT"
        elif as_postgres_user test -x "$STATE"; then
            install -d -m 700 -o postgres -g postgres "$PGROOT"
        else
            PGROOT="/var/tmp/automation-$(printf %s "$STATE" | sha256sum | cut -c1-12)"
            claim_outside_root
            ln -s "$PGROOT" "$STATE/postgres"
        fi
    fi
}

# /var/tmp is everybody's: what lies there under our name must really be a folder of user `postgres`.
claim_outside_root() {
    mkdir -m 700 "$PGROOT" 2>/dev/null && chown postgres:postgres "$PGROOT"
    if [ -L "$PGROOT" ] || [ "$(stat -c %U "$PGROOT" 2>/dev/null)" != postgres ]; then
        die "$PGROOT is not a folder of user postgres; remove it and run this again."
    fi
}

postgres_create() {
    [ ! -d "$PGROOT/data" ] || return 0
    step "Creating a private Postgres cluster in $PGROOT"
    # initdb works in a folder of another name, which becomes the real one at the very end: an interrupted
    # initdb leaves nothing that looks finished. It inherits our lock on purpose: should this script be killed, the
    # next one waits until initdb has ended before it removes what that wrote.
    rm -rf "$PGROOT/data.new" "$PGROOT/password"
    printf '%s' "$SECRET_PG_SUPERUSER" >"$PGROOT/password"
    if [ "$(id -u)" = 0 ]; then chown postgres "$PGROOT/password"; fi
    (cd / && as_postgres_user "$POSTGRES_BIN/initdb" -D "$PGROOT/data.new" -U postgres --pwfile="$PGROOT/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8) >>"$STATE/log/initdb.log" 2>&1 ||
        die "initdb failed; see $STATE/log/initdb.log"
    rm -f "$PGROOT/password"
    mv "$PGROOT/data.new" "$PGROOT/data"
    superuser_mark | write_file "$PGROOT/superuser"
}

# Which password the cluster knows, without telling it.
superuser_mark() { printf '%s' "$SECRET_PG_SUPERUSER" | sha256sum; }

# secrets.env was lost, and has another password than the cluster: it is set without asking for the former one, by a server that
# serves nobody.
postgres_restore_superuser() {
    if [ "$(cat "$PGROOT/superuser" 2>/dev/null)" = "$(superuser_mark)" ]; then return; fi
    step "Giving Postgres the passwords of a new secrets.env"
    (cd / && echo "ALTER ROLE postgres PASSWORD '$SECRET_PG_SUPERUSER';" |
        as_postgres_user "$POSTGRES_BIN/postgres" --single -D "$PGROOT/data" postgres) >>"$STATE/log/initdb.log" 2>&1 ||
        die "the superuser's password could not be set; see $STATE/log/initdb.log"
    superuser_mark | write_file "$PGROOT/superuser"
}

# After a kill -9 the server's own lock file stays. Postgres sees through it, with two exceptions in which it refuses to
# start: a former child has not ended yet (usually it takes a moment; in the middle of a long query, until its end),
# or the pid now belongs to another process of the same user.
postgres_drop_stale_lock() {
    local pid file="$PGROOT/data/postmaster.pid" deadline=$((SECONDS + 3))
    [ -f "$file" ] || return 0
    while pid=$(postgres_orphan); do
        # What it does cannot be committed any more, so nothing is lost.
        if [ "$SECONDS" -ge "$deadline" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
        sleep 0.1
    done
    pid=$(head -n 1 "$file")
    if [ -r "/proc/$pid/cmdline" ] && ! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q postgres; then rm -f "$file"; fi
}

# Prints the pid of a process of this cluster: the server's program, working in the data directory.
postgres_orphan() {
    local process
    for process in /proc/[0-9]*; do
        if [ "$process/cwd" -ef "$PGROOT/data" ] && [ "$process/exe" -ef "$POSTGRES_BIN/postgres" ]; then
            basename "$process"
            return
        fi
    done
    return 1
}

postgres_start() {
    postgres_root
    postgres_create
    if process_lives postgres; then return; fi
    exchange_taken_ports POSTGRES
    postgres_drop_stale_lock
    postgres_restore_superuser
    step "Starting Postgres on 127.0.0.1:$PORT_POSTGRES"
    # No Unix socket: its path may be at most 107 bytes long, and a clone's folder is often deeper.
    # Autovacuum looks every ten seconds: each finished run leaves dead rows in runs_open and wakeups, which otherwise take
    # more than half of the buffers under load. max_wal_size lets checkpoints come rarely under load.
    # shellcheck disable=SC2046
    (cd / && process_start postgres $(postgres_user_switch) "$POSTGRES_BIN/postgres" -D "$PGROOT/data" \
        -c port="$PORT_POSTGRES" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
        -c shared_buffers=512MB -c max_wal_size=4GB -c autovacuum_naptime=10s -c max_connections=200 \
        -c timezone=UTC -c log_timezone=UTC -c log_line_prefix='%m [%p] %u@%d ')
}

# process_start needs a command, not a function.
postgres_user_switch() {
    if [ "$(id -u)" = 0 ]; then echo setpriv --reuid=postgres --regid=postgres --init-groups --; fi
}

postgres_answers() { sql postgres 'SELECT 1' >/dev/null 2>&1; }

# Recovery after a kill -9 may take some seconds.
postgres_await() {
    process_await postgres 60 postgres_answers
}

# SIGINT is Postgres's fast shutdown: clients are disconnected, nothing is lost.
postgres_stop() { process_stop postgres INT 30; }

# Runs SQL as the superuser: sql <database> <statement>, or a script on stdin.
sql() {
    local database=$1
    shift
    postgres_bin || die "psql is not here."
    PGPASSWORD=$SECRET_PG_SUPERUSER PGCONNECT_TIMEOUT=5 "$POSTGRES_BIN/psql" -X -q -At -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$PORT_POSTGRES" -U postgres -d "$database" ${1:+-c "$1"}
}

# Roles, their passwords, the database. Skipped while nothing of it has changed, so a second `up` is quick.
postgres_prepare() {
    local fingerprint
    fingerprint=$(cat "$ROOT"/deploy/postgres/*.sql "$STATE/secrets.env" | sha256sum | cut -c1-32)
    if marked prepared "$fingerprint"; then return; fi
    {
        cat "$ROOT/deploy/postgres/roles.sql"
        echo "ALTER ROLE automation_owner PASSWORD '$SECRET_PG_OWNER';"
        echo "ALTER ROLE automation_api PASSWORD '$SECRET_PG_API';"
        echo "ALTER ROLE automation_worker PASSWORD '$SECRET_PG_WORKER';"
        echo "ALTER ROLE automation_batch PASSWORD '$SECRET_PG_BATCH';"
        echo "ALTER ROLE automation_door PASSWORD '$SECRET_PG_DOOR';"
        echo "ALTER ROLE automation_scheduler PASSWORD '$SECRET_PG_SCHEDULER';"
        echo "ALTER ROLE automation_operator PASSWORD '$SECRET_PG_OPERATOR';"
        echo "ALTER ROLE automation PASSWORD '$SECRET_PG_ALL';"
        cat "$ROOT/deploy/postgres/database.sql"
    } | sql postgres || die "the database roles could not be prepared (see above); ./dev reset begins from nothing."
    mark prepared "$fingerprint"
}

postgres_url() { # role password database
    echo "postgres://$1:$2@127.0.0.1:$PORT_POSTGRES/$3"
}
