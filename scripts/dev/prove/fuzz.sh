# Fuzzes what reads the words of strangers: any bytes are refused with a code, or read and evaluated within their budget.
#
# Inputs that reached something new are kept in target/fuzz/corpus and are where the next run begins. What a target finds
# stands in target/fuzz/found. FUZZ_TARGETS names some of the targets, FUZZ_SECONDS another time for each, FUZZ_UNIT_SECONDS how
# long one input may take: more than the 10 s on a machine that is busy otherwise.

PROVE_ABOUT="any template, condition, expression, workflow file or event is refused or bounded: fuzzing, an hour each (5 h)"

FUZZ_DIR=${FUZZ_DIR:-$ROOT/target/fuzz}
FUZZ_TARGETS=${FUZZ_TARGETS:-template condition regex workflow_file event}

prove_fuzz_whole() { fuzz_all "${FUZZ_SECONDS:-3600}"; }

prove_fuzz_hundredth() { fuzz_all "${FUZZ_SECONDS:-36}"; }

fuzz_all() { # seconds
    local target failed=()
    require_cargo
    require_cpp_compiler
    FUZZ_HOST=$(rustc -vV | sed -n 's/^host: //p')
    fuzz_build
    for target in $FUZZ_TARGETS; do fuzz_one "$target" "$1" || failed+=("$target"); done
    [ ${#failed[@]} -eq 0 ] || die "fuzzing found something: ${failed[*]}. The inputs are in $FUZZ_DIR/found."
}

# libFuzzer is C++; rustc puts coverage into the crates that read (fuzz/rustc.sh), with nothing but the stable compiler.
fuzz_build() {
    step "Building the fuzz targets; the first time takes some minutes"
    (
        cd "$ROOT/fuzz" || exit
        export RUSTC_WRAPPER="$ROOT/fuzz/rustc.sh" CARGO_TARGET_DIR="$FUZZ_DIR/build"
        cargo build --release --locked --target "$FUZZ_HOST" --bins
    )
}

fuzz_one() { # target seconds
    local target=$1 log="$FUZZ_DIR/$1.log" seeds=("$ROOT/fuzz/seeds/$1")
    if [ "$target" = workflow_file ]; then seeds+=("$ROOT/examples"); fi
    mkdir -p "$FUZZ_DIR/corpus/$target" "$FUZZ_DIR/found"
    if "$FUZZ_DIR/build/$FUZZ_HOST/release/$target" "$FUZZ_DIR/corpus/$target" "${seeds[@]}" \
        -max_total_time="$2" -timeout="${FUZZ_UNIT_SECONDS:-10}" -rss_limit_mb=512 -max_len=16384 -print_final_stats=1 \
        -artifact_prefix="$FUZZ_DIR/found/$target-" >"$log" 2>&1; then
        say "    $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $2 s"
    else
        grep -E 'panicked|ERROR|SUMMARY|Test unit written' -A1 "$log" | tail -12
        return 1
    fi
}
