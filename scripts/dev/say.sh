# What the script tells a person. Everything goes to stderr: stdout carries only what other programs read
# (`env`, `test-env`, `ps --json`, the output of `cli`).

say()  { printf '%s\n' "$*" >&2; }
step() { printf '==> %s\n' "$*" >&2; }
die()  { printf 'dev: %s\n' "$*" >&2; exit 1; }

has() { command -v "$1" >/dev/null 2>&1; }
