# `prove NAME`: what takes too long for every run of the tests.
#
# Each is a file scripts/dev/prove/NAME.sh, which sets, for NAME with _ in place of -,
#
#   PROVE_ABOUT               a line for the list
#   prove_NAME_whole          runs all of it; docs/proofs.md has the date of the last time
#   prove_NAME_hundredth      a hundredth of it, which `./dev test` runs; left out where less proves nothing

prove() {
    local name
    if [ $# -eq 0 ]; then
        prove_list
        return
    fi
    for name in "$@"; do
        [ -f "$ROOT/scripts/dev/prove/$name.sh" ] || die "there is no proof '$name'; ./dev prove lists them."
    done
    for name in "$@"; do part "$name" prove_part "$name" whole; done
    print_parts
    say "All of it holds. Put the date of today, $(date +%F), into docs/proofs.md."
}

prove_list() {
    local name
    for name in $(prove_names); do printf '%-12s %s\n' "$name" "$(prove_load "$name" && echo "$PROVE_ABOUT")"; done
}

prove_names() { (cd "$ROOT/scripts/dev/prove" && ls -- *.sh) | sed 's/\.sh$//'; }

prove_load() { # name
    # shellcheck source=/dev/null
    . "$ROOT/scripts/dev/prove/$1.sh"
}

# In a subshell: what a proof sets, and its traps, are its own.
prove_part() { # name whole|hundredth
    (
        prove_load "$1"
        "prove_${1//-/_}_$2"
    )
}

prove_hundredths() {
    local name
    for name in $(prove_names); do
        if (prove_load "$name" && declare -F "prove_${name//-/_}_hundredth" >/dev/null); then
            part "A hundredth of $name" prove_part "$name" hundredth
        fi
    done
}
