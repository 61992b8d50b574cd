PROVE_ABOUT="every test on the servers of the next Debian (as ./dev test; root)"

prove_newer_whole() { "$ROOT/dev" test --newer; }
