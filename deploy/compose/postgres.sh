#!/bin/sh
# Database roles, their passwords, the database; running it again changes nothing but passwords that changed.
# PGHOST and PGUSER name the server and its superuser. The files lie where docker-compose.yml mounts them.
set -eu

folder=${SETUP_FOLDER:-/setup}
secrets=${SECRETS_FOLDER:-/run/secrets}
PGPASSWORD=$(cat "$secrets/postgres_password")
export PGPASSWORD
exec psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres \
    --file "$folder/roles.sql" \
    --file "$secrets/postgres_roles.sql" \
    --file "$folder/database.sql"
