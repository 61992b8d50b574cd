PROVE_ABOUT="half of the most for half an hour, each event found again (35 min)"

prove_soak_whole() { "$ROOT/dev" bench --soak 30; }
