#!/usr/bin/env bash
# rustc, with libFuzzer's coverage for the crates that read what strangers write. Used by `./dev prove fuzz` as RUSTC_WRAPPER.
set -euo pipefail

case ${CARGO_PKG_NAME:-} in
automation-* | minijinja | regex-automata | regex-syntax | yaml_serde | libyaml* | serde_json | chrono | croner)
    # A build script runs on its own and has no fuzzer to report to.
    case " $* " in
    *" build_script_build "*) exec "$@" ;;
    esac
    exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$@" ;;
esac
