# docker-compose.yml in a real engine, on both generations of servers. Where `docker` reaches an engine with Compose 2, it is
# that one, and should be one that runs nothing else; else one in podman (containers/lab.sh).

PROVE_ABOUT="docker-compose.yml in containers: upgrade, way back, deaths (20 min, root or an engine)"

prove_containers_whole() {
    local older
    require_cargo
    open_state
    # shellcheck source=/dev/null
    . "$ROOT/scripts/dev/prove/containers/lab.sh"
    older=$(git -C "$ROOT" rev-parse --verify "${PROVE_OLDER:-$(newest_before_a_migration)}^{commit}")
    if has docker && docker info >/dev/null 2>&1 && docker compose version --short 2>/dev/null | grep -q '^v\{0,1\}2\.'; then
        LAB=$(mktemp -d)
        trap 'rm -rf "$LAB"' EXIT
        containers_run() { (cd "$1" && bash -c "$2"); }
        OLDER_BUILD=
    else
        build_released
        LAB_BINARY=$RELEASED
        AGAINST=$STATE/against
        AGAINST_NAME=$(git -C "$ROOT" rev-parse --short=12 "$older")
        build_commit "$older" "$AGAINST/$AGAINST_NAME"
        LAB_OLDER_BINARY=$AGAINST/$AGAINST_NAME/automation
        trap lab_stop EXIT
        lab_start
        containers_run() { lab_run "$@"; }
        OLDER_BUILD="--build-arg RUST_VERSION=older"
    fi
    containers_walk "$older" postgres:17-bookworm rabbitmq:4-management
    containers_walk "$older" postgres:15-bookworm rabbitmq:3.10-management
}

# The newest version with fewer migrations, all of which are still as they were.
newest_before_a_migration() {
    local commit
    for commit in $(git -C "$ROOT" log --format=%H -- migrations); do
        if [ -z "$(git -C "$ROOT" diff --name-only --diff-filter=a "$commit^" HEAD -- migrations)" ]; then
            echo "$commit^"
            return
        fi
    done
}

# What is committed, in a checkout of its own that is readable to its owner alone.
containers_walk() { # older-commit postgres rabbitmq
    step "A walk with $2 and $3"
    rm -rf "$LAB/checkout" "$LAB/older"
    (
        umask 077
        git clone --quiet "$ROOT" "$LAB/checkout"
        mkdir "$LAB/older"
        git -C "$ROOT" archive "$1" | tar -x -C "$LAB/older"
    )
    containers_run "$LAB/checkout" "POSTGRES_IMAGE=$2 RABBITMQ_IMAGE=$3 OLDER_SOURCES='$LAB/older' OLDER_BUILD='$OLDER_BUILD' \
        sh scripts/dev/prove/containers/walk.sh" >&2
}
