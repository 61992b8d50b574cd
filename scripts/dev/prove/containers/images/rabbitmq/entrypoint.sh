#!/bin/sh
# Root gives user rabbitmq its data and steps down.
set -eu
if [ "$1" = rabbitmq-server ] && [ "$(id -u)" = 0 ]; then
    chown -R rabbitmq:rabbitmq /var/lib/rabbitmq
    exec gosu rabbitmq "$0" "$@"
fi
exec "$@"
