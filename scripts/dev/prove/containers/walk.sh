#!/bin/sh
# An operator's days with docker-compose.yml, under load: first start of an older version, upgrade, upgrades that fail, the way
# back and forth again, deaths, restarts, new secrets. In the end every event has to be there, once, with its task.
#
# Runs where `docker` reaches an engine, in a checkout that it may change. OLDER_SOURCES is a folder with the sources of a version
# with fewer migrations; OLDER_BUILD has further options for building it.
set -eu

COMPOSE_PROJECT_NAME=automation-walk
AMQP_PORT=${AMQP_PORT:-5672} AMQP_MANAGEMENT_PORT=${AMQP_MANAGEMENT_PORT:-15672}
AUTOMATION_TENANT=acme
WORKFLOWS=$PWD/walk-workflows
export COMPOSE_PROJECT_NAME AMQP_PORT AMQP_MANAGEMENT_PORT AUTOMATION_TENANT WORKFLOWS

say() { printf '== %s %s\n' "$(date +%T)" "$*"; }
fail() {
    printf 'walk: %s\n' "$*"
    docker compose ps --all
    exit 1
}
quietly() { "$@" >walk.log 2>&1 || {
    tail -n 40 walk.log
    fail "$* ended with an error"
}; }
cli() { docker compose run --rm --no-deps -T cli "$@"; }
sql() { docker compose exec -T postgres psql -U postgres automation -Atc "$1"; }
now() { sql "SELECT now()"; }
# The longest pause between two events recorded in a span, in seconds.
pause() {
    sql "SELECT coalesce(round(extract(epoch FROM max(gap))::numeric, 1), 0) FROM (
        SELECT received_at - lag(received_at) OVER (ORDER BY received_at) AS gap FROM events WHERE received_at BETWEEN '$1' AND '$2') AS gaps"
}
nameless_volumes() { docker volume ls --quiet | grep -cE '^[0-9a-f]{64}$' || true; }
roles() { for role in door ingest executor scheduler; do docker compose ps --quiet "$role"; done; }

# Every role has two replicas, of one image, and all are ready.
all_are() { # image what
    want=$(docker image inspect --format '{{.Id}}' "$1")
    count=0
    for container in $(roles); do
        count=$((count + 1))
        [ "$(docker inspect --format '{{.Image}}' "$container")" = "$want" ] || fail "after $2, $container is not of $1"
        docker exec "$container" automation health >/dev/null || fail "after $2, $container is not ready"
    done
    [ "$count" = 8 ] || fail "after $2, $count processes run, not 8"
}

# Waits until a statement gives a number.
until_sql() { # number statement
    waited=0
    until [ "$(sql "$2" 2>/dev/null)" = "$1" ]; do
        [ "$waited" -lt 180 ] || fail "$2: $(sql "$2"), and not $1"
        sleep 1
        waited=$((waited + 1))
    done
}

say "an older version, in a checkout made under umask 077"
volumes=$(nameless_volumes)
mkdir -p "$WORKFLOWS"
cat >"$WORKFLOWS/walk.yaml" <<'YAML'
apiVersion: automation/v1
key: walk
name: Wait, then a task
triggers:
  - { id: ordered, event: order.completed }
nodes:
  - { id: wait, action: delay, with: { for: 3s } }
  - { id: call, action: create_task, with: { title: "Call {{ event.subject }}" } }
edges:
  - [ordered, wait]
  - [wait, call]
YAML
chmod -R a+rX "$WORKFLOWS"
# shellcheck disable=SC2086
quietly docker build --quiet --file "$OLDER_SOURCES/deploy/Dockerfile" --tag automation-walk:older ${OLDER_BUILD:-} "$OLDER_SOURCES"
docker tag automation-walk:older automation-engine:latest
# So named it is not built here: this checkout is the newer version.
ENGINE_IMAGE=automation-engine:latest quietly sh deploy/roll-out.sh
all_are automation-walk:older "the first start"
quietly cli doctor
quietly cli tenant create acme
quietly cli workflow apply /workflows/walk.yaml
key=$(cli apikey create web --types 'order.*' | sed -n 's/.*once: //p')
docker compose exec -T rabbitmq rabbitmqctl status | grep -i 'watermark.*computed to: 1\.[01]' || fail "the broker's memory is not the container's"

say "load, over HTTP"
docker rm --force automation-walk-load >/dev/null 2>&1 || true
docker run --detach --name automation-walk-load --network automation-walk_engine --env KEY="$key" --entrypoint sh curlimages/curl:8.10.1 -c '
    sent=0 refused=0 going=yes
    trap "going=no" TERM
    while [ $going = yes ]; do
        until curl -sS -f -m 10 -o /dev/null http://door:9610/v1/events -H "Authorization: Bearer $KEY" \
            -H "Content-Type: application/cloudevents+json" -d "{\"specversion\": \"1.0\", \"id\": \"walk-$sent\",
            \"source\": \"walk\", \"type\": \"order.completed\", \"time\": \"2026-01-31T12:00:00Z\", \"subject\": \"walk-$sent\", \"data\": {\"total\": 1}}"
        do refused=$((refused + 1)); sleep 0.2; done
        sent=$((sent + 1)); sleep 0.05
    done
    echo "sent $sent, asked again $refused times"' >/dev/null
until_sql t "SELECT count(*) > 20 FROM events WHERE source = 'walk'"

say "upgrade"
before=$(now)
quietly sh deploy/roll-out.sh
all_are automation-engine "the upgrade"
quietly cli doctor
say "  longest pause between two events: $(pause "$before" "$(now)") s"

say "an upgrade whose migration fails"
docker build --quiet --tag automation-walk:broken - >/dev/null <<'DOCKERFILE'
FROM automation-engine
USER root
RUN printf '#!/bin/sh\nexit 1\n' >/usr/local/bin/automation
DOCKERFILE
if ENGINE_IMAGE=automation-walk:broken sh deploy/roll-out.sh >walk.log 2>&1; then fail "a broken image was rolled out"; fi
all_are automation-engine "a migration that failed"

say "an upgrade whose roles are never ready"
docker build --quiet --tag automation-walk:stuck - >/dev/null <<'DOCKERFILE'
FROM automation-engine
USER root
RUN mv /usr/local/bin/automation /usr/local/bin/real \
    && printf '#!/bin/sh\ncase $1 in serve) exec sleep 600 ;; esac\nexec real "$@"\n' >/usr/local/bin/automation \
    && chmod 755 /usr/local/bin/automation
USER 10001:10001
DOCKERFILE
if ROLL_OUT_PATIENCE=10 ENGINE_IMAGE=automation-walk:stuck sh deploy/roll-out.sh >walk.log 2>&1; then fail "an image that is never ready was rolled out"; fi
all_are automation-engine "roles that were never ready"

say "back to the older version, and forth again"
before=$(now)
quietly sh deploy/roll-out.sh back
all_are automation-walk:older "going back"
say "  longest pause between two events: $(pause "$before" "$(now)") s"
running=$(roles)
quietly docker compose up --detach
[ "$(roles)" = "$running" ] || fail "an up with nothing to change has made processes anew"
all_are automation-walk:older "an up of the older version"
before=$(now)
quietly sh deploy/roll-out.sh
all_are automation-engine "going forth again"
say "  longest pause between two events: $(pause "$before" "$(now)") s"

say "kill -9 of an executor; a restart of the broker; stop and start; down and up"
kill -9 "$(docker inspect --format '{{.State.Pid}}' "$(docker compose ps --quiet executor | head -n 1)")"
quietly docker compose restart rabbitmq
quietly docker compose stop
quietly docker compose start
quietly docker compose down
# The load's network went with it.
quietly docker compose up --detach --wait
docker network connect automation-walk_engine automation-walk-load 2>/dev/null || true

say "a new encryption key, which at first is only understood"
keys=deploy/compose/secrets/encryption_keys
former=$(cat $keys)
new=walk2:$(head -c 32 /dev/urandom | base64 | tr -d '\n')
for order in "$former,$new" "$new,$former"; do
    echo "$order" >$keys
    quietly sh deploy/roll-out.sh
done
quietly docker compose run --rm -T rekey
quietly docker compose run --rm -T rekey hook rekey

say "HTTP from the machine itself"
address=$(docker compose port door 9610)
docker run --rm --network host curlimages/curl:8.10.1 -sS -o /dev/null -w '%{http_code}\n' "http://$address/v1/events" -X POST |
    grep -q 401 || fail "http://$address does not answer"

say "counting"
docker kill --signal TERM automation-walk-load >/dev/null
docker wait automation-walk-load >/dev/null
docker logs automation-walk-load 2>/dev/null | tail -n 1
sent=$(docker logs automation-walk-load 2>/dev/null | sed -n 's/^sent \([0-9]*\).*/\1/p')
until_sql "$sent" "SELECT count(*) FROM events WHERE source = 'walk'"
until_sql "$sent $sent" "SELECT count(*) || ' ' || count(DISTINCT contact_id) FROM tasks"
until_sql 0 "SELECT count(*) FROM runs_open"
quietly cli doctor
docker rm --force automation-walk-load >/dev/null

say "nothing is left over"
quietly docker compose down
[ "$(nameless_volumes)" = "$volumes" ] || fail "$(nameless_volumes) volumes without a name, and not $volumes"
for service in postgres rabbitmq door; do
    docker compose config "$service" | grep -q 'max-file' || fail "logs of $service are not rotated"
done
quietly docker compose down --volumes
say "all $sent events are there, once, with their tasks"
