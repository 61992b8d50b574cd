# The demo: another program, with only what other services get, publishes events; then a table shows what became of them.

# Once per database, so that a second `up` changes nothing; `./dev demo` runs it whenever it is asked to.
demo_once() {
    if marked demo; then
        say "The demo ran before; ./dev demo runs it again."
        return
    fi
    demo
}

demo() {
    if servers_given && [ -z "${AUTOMATION_DEMO_AMQP_URL:-}" ]; then
        say "No demo: give AUTOMATION_DEMO_AMQP_URL, the URL of a publisher that tenant demo grants its types to."
        return
    fi
    run_demo
    mark demo
}

run_demo() {
    local since events=300
    since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    step "The demo publishes its events"
    with_env publisher_env "$DEMO_SHOP" --events "$events" >&2 9>&-
    step "What happened"
    automation run stats --tenant demo --wait "$events" --since "$since"
}
