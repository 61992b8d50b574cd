# The programs, built for release: speed is part of what is shown.

TARGET="${CARGO_TARGET_DIR:-$ROOT/target}"
case $TARGET in /*) ;; *) TARGET="$ROOT/$TARGET" ;; esac
AUTOMATION="$TARGET/release/automation"
DEMO_SHOP="$TARGET/release/demo-shop"

build() {
    require_cargo
    require_compiler
    if [ ! -x "$AUTOMATION" ]; then step "Building; the first time takes some minutes"; fi
    (cd "$ROOT" && unset CARGO_BUILD_TARGET && cargo build --release --locked --target-dir "$TARGET" -p automation-cli -p automation-demo >&2 9>&-)
}

# Changes whenever the binary is built anew.
# shellcheck disable=SC2012
build_id() { ls -lL --time-style=+%s%N "$AUTOMATION" 2>/dev/null | awk '{print $5, $6}'; }

automation() { # arguments...
    with_env "cli_env $*" "$AUTOMATION" "$@" 9>&-
}
