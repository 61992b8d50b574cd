#!/bin/sh
# Makes the secrets of docker-compose.yml, once: random passwords, and the URLs and files that hold them.
# What exists stays; delete the folder, and the volumes with it, to begin anew.
set -eu

folder=${1:-$(dirname "$0")/secrets}
if [ -e "$folder" ]; then
    echo "$folder exists; nothing is changed" >&2
    exit 0
fi

# Letters and digits, so that they need no escaping in a URL, in SQL or in JSON.
password() { od -An -N20 -tx1 /dev/urandom | tr -d ' \n'; }

# Containers read the files as users of their own, so the files are readable to all; the folder keeps others of this
# machine out.
umask 022
part="$folder.part"
rm -rf "$part"
mkdir -m 700 "$part"

password >"$part/postgres_password"

: >"$part/postgres_roles.sql"
for role in automation_owner automation_worker automation_scheduler automation_operator; do
    secret=$(password)
    echo "ALTER ROLE $role PASSWORD '$secret';" >>"$part/postgres_roles.sql"
    echo "postgres://$role:$secret@postgres:5432/automation" >"$part/${role}_url"
done

admin=$(password)
engine=$(password)
# For the node, at its first start.
cat >"$part/rabbitmq_admin.conf" <<CONF
default_user = admin
default_pass = $admin
default_user_tags.administrator = true
CONF
# For curl.
echo "user = \"admin:$admin\"" >"$part/rabbitmq_admin.curl"
# `monitoring` lets the engine read its queues' state through the management API, and change nothing there.
cat >"$part/rabbitmq_users.json" <<JSON
{
  "vhosts": [{"name": "automation"}],
  "users": [{"name": "automation-engine", "password": "$engine", "tags": "monitoring"}],
  "permissions": [{"user": "admin", "vhost": "automation", "configure": ".*", "write": ".*", "read": ".*"}]
}
JSON
echo "amqp://automation-engine:$engine@rabbitmq:5672/automation" >"$part/amqp_url"
echo "http://admin:$admin@rabbitmq:15672" >"$part/amqp_management_url"

echo "compose1:$(head -c 32 /dev/urandom | base64 | tr -d '\n')" >"$part/encryption_keys"

mv "$part" "$folder"
echo "$folder is made; keep a copy of encryption_keys apart from the backups of the database" >&2
