#!/bin/sh
# Makes the secrets of docker-compose.yml: random passwords, and the URLs and files that hold them. Passwords and keys that
# exist stay, and those that a newer version needs are added; delete the folder, and the volumes with it, to begin anew.
set -eu

folder=${1:-$(dirname "$0")/secrets}

# Letters and digits, so that they need no escaping in a URL, in SQL or in JSON.
password() { od -An -N20 -tx1 /dev/urandom | tr -d ' \n'; }

# The password of the URL in a file.
password_in() { sed 's|^[a-z]*://[^:]*:\([^@]*\)@.*$|\1|' "$folder/$1"; }

# Writes standard input to a file that is complete, or not there.
write() {
    cat >"$folder/$1.part"
    mv "$folder/$1.part" "$folder/$1"
}

# The same, unless there is such a file.
make() {
    if [ -e "$folder/$1" ]; then cat >/dev/null; else write "$1"; fi
}

# A key with a name, for a file of keys.
key() { echo "$1:$(head -c 32 /dev/urandom | base64 | tr -d '\n')"; }

# Containers read the files as users of their own, so the files are readable to all; the folder keeps others of this
# machine out.
umask 022
if [ ! -d "$folder" ]; then mkdir -m 700 "$folder"; fi

password | make postgres_password
roles="automation_owner automation_worker automation_door automation_scheduler automation_operator"
for role in $roles; do
    echo "postgres://$role:$(password)@postgres:5432/automation" | make "${role}_url"
done
for role in $roles; do
    echo "ALTER ROLE $role PASSWORD '$(password_in "${role}_url")';"
done | write postgres_roles.sql

echo "http://admin:$(password)@rabbitmq:15672" | make amqp_management_url
echo "amqp://automation-engine:$(password)@rabbitmq:5672/automation" | make amqp_url
echo "amqp://automation-door:$(password)@rabbitmq:5672/automation" | make amqp_door_url
admin=$(password_in amqp_management_url)
# For the node, at its first start.
write rabbitmq_admin.conf <<CONF
default_user = admin
default_pass = $admin
default_user_tags.administrator = true
CONF
# For curl.
echo "user = \"admin:$admin\"" | write rabbitmq_admin.curl
# `monitoring` lets the engine read its queues' state through the management API, and change nothing there.
write rabbitmq_users.json <<JSON
{
  "vhosts": [{"name": "automation"}],
  "users": [
    {"name": "automation-engine", "password": "$(password_in amqp_url)", "tags": "monitoring"},
    {"name": "automation-door", "password": "$(password_in amqp_door_url)", "tags": ""}
  ],
  "permissions": [{"user": "admin", "vhost": "automation", "configure": ".*", "write": ".*", "read": ".*"}]
}
JSON

# What the executor can open, and what the door can: two files, so that neither holds the other's.
key compose1 | make encryption_keys
key door1 | make door_keys

# What the command line signs the audit log with.
key compose1 | make audit_keys

echo "$folder is complete; keep copies of encryption_keys, door_keys and audit_keys apart from the backups of the database" >&2
