# `test`: on the same private servers as `up`, each test in a database and a virtual host of its own.

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
    local filters=() keep=no newer=no argument
    for argument in "$@"; do
        case $argument in
        --keep) keep=yes ;;
        --newer) newer=yes ;;
        -*) die "test does not know '$argument'; it takes --keep, --newer and words that tests' names contain." ;;
        *) filters+=("$argument") ;;
        esac
    done
    require_cargo
    if [ "$newer" = yes ]; then
        if [ "$keep" = yes ]; then die "--newer leaves nothing running, so --keep does not go with it."; fi
        with_newer_servers run_tests ${filters[@]+"${filters[@]}"}
        return
    fi
    # Before clippy, which links build scripts.
    require_compiler
    if ! test_servers_given; then require_packages; fi
    if [ ${#filters[@]} -eq 0 ]; then check_sources; fi
    part "Servers" borrow_servers
    if [ "$keep" = yes ]; then servers_want; fi
    if cargo nextest --version >/dev/null 2>&1; then
        # Building alone, so that the tests' own time is told.
        part "Building the tests" in_test_env cargo nextest run --locked --workspace --no-run
        part "Tests" in_test_env cargo nextest run --locked --workspace ${filters[@]+"${filters[@]}"}
        # nextest leaves out the examples in the documentation.
        if [ ${#filters[@]} -eq 0 ]; then
            part "Examples in the documentation" in_test_env cargo test --locked --workspace --doc --quiet
        fi
    else
        part "Tests" in_test_env cargo test --locked --workspace -- ${filters[@]+"${filters[@]}"}
    fi
    if [ ${#filters[@]} -eq 0 ]; then prove_hundredths; fi
    print_parts
    say "Everything passed in $SECONDS s."
}

# What needs no server.
check_sources() {
    cd "$ROOT" || exit
    part "Shell scripts" check_scripts
    part "Format" cargo fmt --all --check
    part "AsyncAPI" check_asyncapi
    announce_interpreters
    part "Clippy" cargo clippy --locked --workspace --all-targets -- -D warnings
    if cargo deny --version >/dev/null 2>&1; then
        # Advisories need a database from the network, so they are a command of their own: cargo deny check advisories.
        part "Dependencies" cargo deny --locked check bans licenses sources
    else
        say "cargo-deny is not installed: licences and bans of dependencies are not checked."
    fi
}

check_scripts() {
    local script scripts=(dev .ci/run scripts/dev/*.sh scripts/dev/prove/*.sh scripts/dev/prove/containers/lab.sh)
    for script in "${scripts[@]}"; do bash -n "$script"; done
    if has shellcheck; then shellcheck -x -S warning "${scripts[@]}"; fi
    # Names that `bench` reads in Rust.
    bench_check_names latency,tenth-single ''
    bench_check_names tenth-single against
    for script in deploy/*.sh deploy/compose/*.sh scripts/dev/prove/containers/walk.sh; do sh -n "$script"; done
}
