# `test` and `bench`: on the same private servers as `up`, each test in a database and a virtual host of its own.

# Leaves the servers as they were found. Several tests may run at once: each holds the file `test-users` shared, and the
# last one out stops the servers, unless somebody asked for them to stay.
borrow_servers() {
    if test_servers_given; then return; fi
    open_state
    exec 8>"$STATE/run/test-users"
    if has flock; then flock -s 8; fi
    trap return_servers EXIT
    trap 'exit 130' INT TERM
    servers_up
    unlock
}

return_servers() {
    local status=$?
    trap - EXIT INT TERM
    set +e # whatever happens below, the tests' own status is what is returned
    lock
    if ! servers_wanted && ! roles_live && { ! has flock || flock -n -x 8; }; then servers_down; fi
    exit "$status"
}

# Variables of a person's shell (`eval "$(./dev env)"`) are not what tests expect.
in_test_env() {
    (
        unset DATABASE_URL AMQP_URL AUTOMATION_AMQP_MANAGEMENT_URL AUTOMATION_TENANT
        cd "$ROOT" || exit
        with_env test_env "$@" 8>&- 9>&-
    )
}

run_tests() {
    local filters=() keep=no argument
    for argument in "$@"; do
        case $argument in
        --keep) keep=yes ;;
        -*) die "test does not know '$argument'; it takes --keep and words that tests' names contain." ;;
        *) filters+=("$argument") ;;
        esac
    done
    require_cargo
    # Before clippy, which links build scripts.
    if test_servers_given; then require_compiler; else require_packages; fi
    if [ ${#filters[@]} -eq 0 ]; then check_sources; fi
    borrow_servers
    if [ "$keep" = yes ]; then servers_want; fi
    step "Tests"
    if cargo nextest --version >/dev/null 2>&1; then
        in_test_env cargo nextest run --locked --workspace ${filters[@]+"${filters[@]}"}
        # nextest leaves out the examples in the documentation.
        if [ ${#filters[@]} -eq 0 ]; then in_test_env cargo test --locked --workspace --doc --quiet; fi
    else
        in_test_env cargo test --locked --workspace -- ${filters[@]+"${filters[@]}"}
    fi
    say "Everything passed in $SECONDS s."
}

# What needs no server.
check_sources() {
    local script
    cd "$ROOT" || exit
    step "Shell scripts"
    for script in dev .ci/run scripts/dev/*.sh; do bash -n "$script"; done
    if has shellcheck; then shellcheck -x -S warning dev .ci/run scripts/dev/*.sh; fi
    step "Format"
    cargo fmt --all --check
    check_asyncapi
    announce_interpreters
    step "Clippy"
    cargo clippy --locked --workspace --all-targets -- -D warnings
    if cargo deny --version >/dev/null 2>&1; then
        step "Dependencies"
        # Advisories need a database from the network, so they are a command of their own: cargo deny check advisories.
        cargo deny --locked check bans licenses sources
    else
        say "cargo-deny is not installed: licences and bans of dependencies are not checked."
    fi
}

bench() {
    require_cargo
    borrow_servers
    require_compiler
    in_test_env cargo run --release --locked --quiet -p automation-bench -- "$@"
}
