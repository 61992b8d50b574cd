# The programs, built for release: speed is part of what is shown.

TARGET="${CARGO_TARGET_DIR:-$ROOT/target}"
AUTOMATION="$TARGET/release/automation"
DEMO_SHOP="$TARGET/release/demo-shop"

build() {
    require_cargo
    local packages="-p automation-cli"
    if [ -d "$ROOT/crates/demo" ]; then packages="$packages -p automation-demo"; fi
    if [ ! -x "$AUTOMATION" ]; then step "Building; the first time takes some minutes"; fi
    # shellcheck disable=SC2086
    (cd "$ROOT" && cargo build --release --locked $packages >&2 9>&-)
}

# Changes whenever the binary is built anew.
# shellcheck disable=SC2012
build_id() { ls -lL --time-style=+%s%N "$AUTOMATION" 2>/dev/null | awk '{print $5, $6}'; }

automation() { # subcommand...
    with_env "cli_env $1" "$AUTOMATION" "$@" 9>&-
}
