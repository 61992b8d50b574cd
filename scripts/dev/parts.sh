# What each part of a long command took: a table at its end.

PARTS=()

# Runs a command as a part with a name of its own. Not in a subshell or a condition, where a failure would not end the script.
part() { # name command...
    local name=$1 begun=$SECONDS
    shift
    step "$name"
    "$@"
    PARTS+=("$((SECONDS - begun)) $name")
}

print_parts() {
    say ""
    printf '%s\n' "${PARTS[@]}" | awk '{ printf "%7d s  %s\n", $1, substr($0, index($0, " ") + 1) }' >&2
}
