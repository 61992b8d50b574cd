#!/bin/sh
# Virtual host, users of the engine and of its door, exchanges and queues, their permissions; running it again changes nothing.
# RABBITMQ_MANAGEMENT is the URL of the management API.
set -eu

folder=${SETUP_FOLDER:-/setup}
secrets=${SECRETS_FOLDER:-/run/secrets}

# In this order: an import that names an unknown user is refused as a whole.
for file in "$secrets/rabbitmq_users.json" "$folder/definitions.json" "$folder/permissions.json"; do
    curl --silent --show-error --fail --max-time 60 --retry 5 --retry-connrefused \
        --config "$secrets/rabbitmq_admin.curl" --header 'content-type: application/json' \
        --data-binary "@$file" "$RABBITMQ_MANAGEMENT/api/definitions"
    echo "imported $file"
done
