# `bench`: the benchmark on the same servers as tests; with --against, this checkout's binary beside another commit's.

# The benchmark knows what it takes, but only once it is built, which takes minutes: what it would refuse is refused here.
bench() {
    local only='' soak='' commit='' arguments=()
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help)
            bench_help
            return
            ;;
        --json | --quick) arguments+=("$1") ;;
        --only | --soak | --against)
            [ $# -gt 1 ] || die "$1 takes a value; ./dev bench --help says which."
            set -- "$1=$2" "${@:3}"
            continue
            ;;
        --only= | --soak= | --against=) die "${1%=} takes a value; ./dev bench --help says which." ;;
        --only=*) only=${only:+$only,}${1#*=} ;;
        --soak=*)
            soak=${1#*=}
            [[ $soak =~ ^[1-9][0-9]*$ ]] || die "--soak takes minutes, 1 at least; '$soak' is none."
            ;;
        --against=*)
            commit=$(git -C "$ROOT" rev-parse --verify --quiet "${1#*=}^{commit}") || die "there is no commit '${1#*=}' here."
            ;;
        *) die "bench does not know '$1'; it takes --json, --quick, --only, --soak and --against." ;;
        esac
        shift
    done
    if [ -n "$soak" ] && [ -n "$only$commit" ]; then die "--soak is a measurement of its own: --only and --against do not go with it."; fi
    bench_check_names "$only" "$commit"
    require_cargo
    require_compiler
    if [ -n "$commit" ]; then build_contenders "$commit"; fi
    build_as release automation-bench -p automation-bench
    borrow_servers
    in_test_env "$TARGET/release/automation-bench" ${only:+--only "$only"} ${soak:+--soak "$soak"} \
        ${commit:+--before "$AGAINST/$AGAINST_NAME" --after "$AGAINST/this-checkout"} ${arguments[@]+"${arguments[@]}"}
}

bench_help() {
    cat <<HELP
./dev bench                    measure everything: docs/performance.md
    --only NAME[,NAME…]        only these: $(bench_names | paste -sd ' ' -)
    --quick                    seconds instead of minutes, on fewer rows; the figures scatter more
    --json                     one JSON object instead of tables
./dev bench --soak MINUTES     half of the most for so long; with --quick and --json
./dev bench --against COMMIT   this checkout's binary beside another commit's, in turns; with --quick and --json
    --only NAME[,NAME…]        of these, packed without it: $(bench_names loads | paste -sd ' ' -)
HELP
}

bench_check_names() { # names commit
    local name names known
    known=$(bench_names "${2:+loads}")
    IFS=, read -ra names <<<"$1"
    for name in ${names[@]+"${names[@]}"}; do
        grep -qxF -e "$name" <<<"$known" || die "--only does not know '$name'${2:+ beside another commit}; it takes ${known//$'\n'/, }."
    done
}

# Read where the benchmark has them, so that there is one list: all that it measures, or the loads, which two binaries can be
# compared by.
bench_names() { # [loads]
    local from='pub(crate) enum Scenario'
    if [ "${1:-}" = loads ]; then from='fn throughputs'; fi
    sed -n "/^$from/,/^}/{ s/^    \([A-Z][A-Za-z]*\),\$/\1/p; s/.*Scenario::\([A-Z][A-Za-z]*\),.*/\1/p; }" \
        "$ROOT/crates/bench/src/scenarios/mod.rs" | sed 's/\(.\)\([A-Z]\)/\1-\2/g' | tr '[:upper:]' '[:lower:]'
}

# Sets AGAINST and AGAINST_NAME: a folder per binary, each with the database roles that it wants.
build_contenders() { # sha
    open_state
    AGAINST=$STATE/against
    AGAINST_NAME=$(git -C "$ROOT" rev-parse --short=12 "$1")
    build_commit "$1" "$AGAINST/$AGAINST_NAME"
    build_released
    take_binary "$RELEASED" "$ROOT" "$AGAINST/this-checkout"
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
