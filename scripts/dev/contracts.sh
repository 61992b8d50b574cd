# What other teams build against, read with their own tools.

# docs/asyncapi.yaml, with AsyncAPI's parser from npm. That it is what the code says is a test of its own.
check_asyncapi() {
    step "AsyncAPI"
    local tools
    if ! has node || ! has npm; then
        unchecked "node and npm are not installed"
        return
    fi
    open_state
    tools=$STATE/tools/asyncapi
    mkdir -p "$tools"
    cp "$ROOT"/docs/tools/asyncapi/{package.json,package-lock.json,check.mjs} "$tools"
    if ! cmp -s "$tools/package-lock.json" "$tools/installed.json"; then
        if ! (cd "$tools" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2); then
            unchecked "npm cannot install the parser"
            return
        fi
        cp "$tools/package-lock.json" "$tools/installed.json"
    fi
    node "$tools/check.mjs" "$ROOT/docs/asyncapi.yaml" >&2
}

# The tests leave out what they cannot run; a test runner may keep to itself that they said so.
announce_interpreters() {
    if [ "${AUTOMATION_TOOLS:-}" = required ]; then return; fi
    has python3 || say "NOT TESTED: the example for publishers in Python, because python3 is not installed."
    { has node && has npm; } || say "NOT TESTED: the example for publishers in Node.js, because node and npm are not installed."
}

# On a machine without network the rest is still worth knowing; CI has everything, and there it has to run.
unchecked() { # why
    if [ "${AUTOMATION_TOOLS:-}" = required ]; then die "$1, so docs/asyncapi.yaml cannot be checked."; fi
    say "NOT CHECKED: docs/asyncapi.yaml, because $1."
}
