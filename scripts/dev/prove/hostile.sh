# How long an ordinary run takes beside definitions made to hurt, with the binary that is delivered: 2 s at most is the aim.

PROVE_ABOUT="an ordinary run beside hostile definitions, in a release build (2 min once it is built)"

prove_hostile_whole() {
    build_released
    borrow_servers
    AUTOMATION_TEST_PROGRAM="$RELEASED" in_test_env \
        cargo test --locked --workspace --test hostile_definitions -- --nocapture
}
