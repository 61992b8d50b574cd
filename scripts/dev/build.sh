# The programs, built for release: speed is part of what is shown.

TARGET="${CARGO_TARGET_DIR:-$ROOT/target}"
case $TARGET in /*) ;; *) TARGET="$ROOT/$TARGET" ;; esac
AUTOMATION="$TARGET/release/automation"
DEMO_SHOP="$TARGET/release/demo-shop"

build() { build_release automation -p automation-cli -p automation-demo; }

# Says what is built and what that takes; Cargo names each library when it comes to it.
build_release() { # program cargo's-arguments...
    local program=$1
    shift
    require_cargo
    require_compiler
    if [ -x "$TARGET/release/$program" ]; then
        step "Building $program, if anything has changed"
    else
        step "Building $program and all its libraries; this first time takes minutes, up to twenty on two busy cores"
    fi
    (cd "$ROOT" && unset CARGO_BUILD_TARGET && cargo build --release --locked --target-dir "$TARGET" "$@" >&2 9>&-)
}

# Changes whenever the binary is built anew.
# shellcheck disable=SC2012
build_id() { ls -lL --time-style=+%s%N "$AUTOMATION" 2>/dev/null | awk '{print $5, $6}'; }

automation() { # arguments...
    with_env "cli_env $*" "$AUTOMATION" "$@" 9>&-
}
