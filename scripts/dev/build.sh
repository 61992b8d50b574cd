# The programs. What `up` runs is built quickly (profile quick): all of it in three minutes of two cores, where a release build
# takes some four times as much. What is measured is what is delivered, a release build.

TARGET="${CARGO_TARGET_DIR:-$ROOT/target}"
case $TARGET in /*) ;; *) TARGET="$ROOT/$TARGET" ;; esac
AUTOMATION="$TARGET/quick/automation"
DEMO_SHOP="$TARGET/quick/demo-shop"
RELEASED="$TARGET/release/automation"

build() { build_as quick automation -p automation-cli -p automation-demo; }

build_released() { build_as release automation -p automation-cli; }

# Says what is built and what that takes; Cargo names each library when it comes to it.
build_as() { # profile program cargo's-arguments...
    local profile=$1 program=$2
    shift 2
    require_cargo
    require_compiler
    if [ -x "$TARGET/$profile/$program" ]; then
        step "Building $program, if anything has changed"
    else
        step "Building $program and all its libraries; this first time takes minutes"
    fi
    (cd "$ROOT" && unset CARGO_BUILD_TARGET && cargo build --profile "$profile" --locked --target-dir "$TARGET" "$@" >&2 9>&-)
}

# Changes whenever the binary is built anew.
# shellcheck disable=SC2012
build_id() { ls -lL --time-style=+%s%N "$AUTOMATION" 2>/dev/null | awk '{print $5, $6}'; }

automation() { # arguments...
    with_env "cli_env $*" "$AUTOMATION" "$@" 9>&-
}
