#!/bin/sh
# From whatever runs to what docker-compose.yml and the image say, without a pause: the first start, an upgrade, changed secrets
# or settings.
#
#   sh deploy/roll-out.sh         builds the image automation-engine, unless ENGINE_IMAGE names another
#   sh deploy/roll-out.sh back    to the image before that
#
# The schema comes first, while the older roles go on; when that fails, nothing has been replaced. Then each replica is
# replaced by itself: a new one has to be ready before an older one is asked to drain.
set -eu

cd "$(dirname "$0")/.."
# How long a new process may take to be ready, in seconds.
patience=${ROLL_OUT_PATIENCE:-60}

say() { echo "==> $*" >&2; }
die() {
    echo "roll-out: $*" >&2
    exit 1
}

# Tags of what was before, so that going back needs no build.
choose_image() { # forward|back
    if [ "$(docker compose --profile tools config --images rekey)" != automation-engine ]; then
        # An image of your own: derived from automation-engine, or pulled. Going back, name the one before.
        return
    fi
    if [ "$1" = back ]; then
        docker image inspect automation-engine:previous >/dev/null 2>&1 || die "there is no image automation-engine:previous to go back to"
        docker tag automation-engine:latest automation-engine:later
        docker tag automation-engine:previous automation-engine:latest
        return
    fi
    before=$(docker image inspect --format '{{.Id}}' automation-engine:latest 2>/dev/null) || before=
    docker compose build engine
    if [ -n "$before" ] && [ "$before" != "$(docker image inspect --format '{{.Id}}' automation-engine:latest)" ]; then
        docker tag "$before" automation-engine:previous
    fi
}

prepare() {
    docker compose up --detach --wait postgres rabbitmq
    # Those of before are of the image of before.
    docker compose rm --force postgres-setup rabbitmq-setup migrate
    for job in postgres-setup rabbitmq-setup migrate; do
        docker compose run --rm --no-deps -T "$job" || die "$job failed: no role was replaced, what ran goes on"
    done
}

# Replicas are added with --no-recreate, which leaves those that run as they are. Not with --no-deps: what a replica depends on is part
# of what Compose knows it by, and a later `up` would make all of them anew.
replace() { # service
    # Dead ones would be started again as they are.
    docker compose rm --force "$1" >/dev/null
    count=0
    older=$(docker compose ps --quiet "$1")
    for former in $older; do count=$((count + 1)); done
    for former in $older; do
        docker compose up --detach --no-recreate --scale "$1=$((count + 1))" "$1"
        await_ready "$1" "$older"
        docker stop "$former" >/dev/null
        docker rm --volumes "$former" >/dev/null
    done
    # As many as the file says.
    docker compose up --detach --no-recreate "$1"
    await_ready "$1" "$older"
}

# Waits for all of the service's containers but these; one that is not ready in time is taken away again.
await_ready() { # service containers
    for newer in $(docker compose ps --all --quiet "$1"); do
        case " $(echo "$2" | tr '\n' ' ') " in *" $newer "*) continue ;; esac
        waited=0
        until docker exec "$newer" automation health >/dev/null 2>&1; do
            if [ "$waited" -ge "$patience" ]; then
                docker logs --tail 20 "$newer" >&2 || true
                docker rm --force --volumes "$newer" >/dev/null
                die "a new $1 is not ready after $patience s (its log is above) and was removed; the older ones go on"
            fi
            sleep 1
            waited=$((waited + 1))
        done
    done
}

direction=forward
# What an event meets first is new first: it understands what older ones wrote. Back, the other way round.
order="door ingest executor scheduler"
case $* in
'') ;;
back)
    direction=back
    order="scheduler executor ingest door"
    ;;
*) die "'$*' is not known: nothing, or back" ;;
esac

docker compose version --short | grep -q '^v\{0,1\}2\.' || die "Compose 2 is needed (docker compose version)"
sh deploy/compose/make-secrets.sh
sh deploy/compose/readable.sh
say "Image"
choose_image "$direction"
say "Servers, schema, topology"
prepare
for service in $order; do
    say "Replacing $service"
    replace "$service"
done
say "Done"
