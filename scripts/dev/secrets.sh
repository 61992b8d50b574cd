# Generated passwords, in a file only its owner reads. Letters and digits, so they need no escaping in a URL.

SECRET_NAMES="PG_SUPERUSER PG_OWNER PG_API PG_WORKER PG_BATCH PG_DOOR PG_SCHEDULER PG_OPERATOR PG_ALL AMQP_ADMIN AMQP_ENGINE AMQP_DOOR AMQP_DEMO AMQP_COOKIE ENCRYPTION_KEYS DOOR_KEYS AUDIT_KEYS"

# What secrets in the database are encrypted with, and the audit log is signed; it is not a password, so it has a form of its own.
encryption_keys() { echo "$1:$(head -c 32 /dev/urandom | base64 | tr -d '\n')"; }

random_secret() { LC_ALL=C od -An -N20 -tx1 /dev/urandom | tr -d ' \n'; }

load_secrets() {
    local name value
    # shellcheck disable=SC1091
    if [ -f "$STATE/secrets.env" ]; then . "$STATE/secrets.env"; fi
    for name in $SECRET_NAMES; do
        name="SECRET_$name"
        if [ -z "${!name:-}" ]; then
            case $name in
            SECRET_ENCRYPTION_KEYS | SECRET_AUDIT_KEYS) value=$(encryption_keys dev1) ;;
            SECRET_DOOR_KEYS) value=$(encryption_keys door1) ;;
            *) value=$(random_secret) ;;
            esac
            printf -v "$name" '%s' "$value"
            { cat "$STATE/secrets.env" 2>/dev/null || true; echo "$name=${!name}"; } | write_file "$STATE/secrets.env"
        fi
    done
}
