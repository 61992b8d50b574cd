# `doctor`: one line per check, and for each that fails, what mends it. It changes nothing.

good() { printf 'ok    %s\n' "$1"; }

bad() { # what mend
    printf 'BAD   %s\n      mend: %s\n' "$1" "$2"
    DOCTOR_STATUS=1
}

note() { printf -- '-     %s\n' "$1"; }

doctor() {
    DOCTOR_STATUS=0
    doctor_programs
    doctor_disk
    if [ ! -f "$STATE/ports.env" ]; then
        note "nothing was started here yet (./dev up)"
        return "$DOCTOR_STATUS"
    fi
    if [ ! -O "$STATE" ]; then
        bad "$STATE belongs to another user" "run ./dev as that user, or let that user run ./dev reset"
        return 1
    fi
    load_ports
    load_secrets
    if servers_given; then
        note "the servers are those of DATABASE_URL and AMQP_URL; ./dev cli doctor checks them"
    else
        doctor_postgres
        doctor_rabbitmq
    fi
    doctor_roles
    return "$DOCTOR_STATUS"
}

doctor_programs() {
    if has cargo || [ -x "$HOME/.cargo/bin/cargo" ]; then good "cargo"; else
        bad "cargo is not here" "install Rust from https://rustup.rs"
    fi
    local missing
    missing=$(missing_packages | tr '\n' ' ')
    if [ -z "$missing" ]; then good "packages"; else
        bad "missing packages: $missing" "./dev up installs them where it may; else apt-get install --no-install-recommends $missing"
    fi
    if has cc; then good "a C compiler"; else bad "no C compiler, which Rust links with" "./dev up installs it where it may; else apt-get install gcc libc6-dev"; fi
    if cargo nextest --version >/dev/null 2>&1; then good "cargo-nextest"; else note "cargo-nextest is not installed; ./dev test uses cargo test"; fi
    if cargo deny --version >/dev/null 2>&1; then good "cargo-deny"; else note "cargo-deny is not installed; ./dev test skips licences and bans"; fi
}

doctor_disk() {
    local free_mb
    free_mb=$(df -Pm "$ROOT" | awk 'NR == 2 { print $4 }')
    if [ "$free_mb" -ge 4096 ]; then good "disk: $free_mb MB free"; else
        bad "disk: only $free_mb MB free" "free some space; a build takes about 4 GB, and RabbitMQ blocks publishers below 200 MB"
    fi
}

doctor_port() { # what port: of something that does not run
    if port_answers "$2"; then
        note "port $2 of $1 is taken by another program; ./dev up will choose a new one"
    fi
}

doctor_postgres() {
    local found
    if ! process_lives postgres; then
        bad "postgres does not run" "./dev up"
        doctor_port postgres "$PORT_POSTGRES"
        return
    fi
    if ! postgres_bin || ! postgres_answers; then
        bad "postgres runs, but does not answer on port $PORT_POSTGRES" "read $STATE/log/postgres.log; then ./dev down and ./dev up"
        return
    fi
    good "postgres answers on port $PORT_POSTGRES"
    if [ ! -x "$AUTOMATION" ]; then
        note "migrations are not looked at: nothing is built yet (./dev up)"
    elif found=$(automation migrate --check --wait 5 2>&1); then good "$found"; else
        bad "${found//$'\n'/; }" "./dev up (or ./dev reset, if the database is newer than this checkout)"
    fi
}

doctor_rabbitmq() {
    if ! process_lives rabbitmq; then
        bad "rabbitmq does not run" "./dev up"
        doctor_port rabbitmq "$PORT_AMQP"
        return
    fi
    if [ "$(management GET /api/overview 2>/dev/null)" != 200 ] || ! port_answers "$PORT_AMQP"; then
        bad "rabbitmq runs, but does not answer on port $PORT_AMQP" "read $STATE/log/rabbitmq.log; then ./dev down and ./dev up"
        return
    fi
    good "rabbitmq answers on port $PORT_AMQP"
    if [ "$(management GET /api/health/checks/local-alarms)" = 200 ]; then good "rabbitmq has no alarm"; else
        bad "rabbitmq has an alarm and blocks publishers" "free memory or disk; $STATE/log/rabbitmq.log says which"
    fi
}

doctor_roles() {
    local role
    for role in $ROLES; do
        if ! process_lives "$role"; then
            bad "$role does not run" "./dev up"
            doctor_port "$role" "$(role_port "$role")"
        elif role_ready "$role"; then
            good "$role is ready"
        else
            bad "$role runs, but is not ready" "curl -s '127.0.0.1:$(role_port "$role")/readyz?verbose'; read $STATE/log/$role.log"
        fi
    done
}
