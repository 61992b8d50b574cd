PROVE_ABOUT="every measurement of the benchmark, each event found again (17 min)"

prove_bench_whole() { "$ROOT/dev" bench; }
