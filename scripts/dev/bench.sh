# `bench`: the benchmark on the same servers as tests; with --against, this checkout's binary beside another commit's.

bench() {
    local commit='' arguments=()
    while [ $# -gt 0 ]; do
        case $1 in
        --against)
            [ -n "${2:-}" ] || die "--against takes a commit."
            commit=$2
            shift
            ;;
        --against=*) commit=${1#*=} ;;
        *) arguments+=("$1") ;;
        esac
        shift
    done
    require_cargo
    require_compiler
    if [ -n "$commit" ]; then build_contenders "$commit"; fi
    borrow_servers
    in_test_env cargo run --release --locked --quiet -p automation-bench -- \
        ${commit:+--before "$AGAINST/$AGAINST_NAME" --after "$AGAINST/this-checkout"} ${arguments[@]+"${arguments[@]}"}
}

# Sets AGAINST and AGAINST_NAME: a folder per binary, each with the database roles that it wants.
build_contenders() { # commit
    local sha
    sha=$(git -C "$ROOT" rev-parse --verify --quiet "$1^{commit}") || die "there is no commit '$1' here."
    open_state
    AGAINST=$STATE/against
    AGAINST_NAME=$(git -C "$ROOT" rev-parse --short=12 "$sha")
    build_commit "$sha" "$AGAINST/$AGAINST_NAME"
    build
    take_binary "$AUTOMATION" "$ROOT" "$AGAINST/this-checkout"
}

# The sources lie in one folder and are built in one of their own, so that a second commit finds its libraries built. Never
# in the folder of this checkout: Cargo takes crates of the same name and version for the same.
build_commit() { # sha folder
    local source=$AGAINST/source
    if [ -x "$2/automation" ]; then return; fi
    step "Building $AGAINST_NAME; the first time takes some minutes"
    rm -rf "$source"
    mkdir -p "$source"
    # Files get the time of now: by it Cargo sees that they differ from those of the commit before.
    git -C "$ROOT" archive "$1" | tar -x -m -C "$source"
    (cd "$source" && unset CARGO_BUILD_TARGET && cargo build --release --locked --target-dir "$AGAINST/target" -p automation-cli >&2 9>&-)
    take_binary "$AGAINST/target/release/automation" "$source" "$2"
}

take_binary() { # binary sources folder
    rm -rf "$3.new"
    mkdir -p "$3.new"
    cp "$1" "$3.new/automation"
    cp "$2/deploy/postgres/roles.sql" "$3.new/roles.sql"
    rm -rf "$3"
    mv "$3.new" "$3"
}
