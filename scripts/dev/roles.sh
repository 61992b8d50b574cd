# One process per role of the engine.

ROLES="door ingest executor scheduler"

role_port() { # role
    local name
    name="PORT_$(echo "$1" | tr '[:lower:]' '[:upper:]')_ADMIN"
    echo "${!name}"
}

role_ready() { curl -fsS --max-time 5 -o /dev/null "http://127.0.0.1:$(role_port "$1")/readyz" 2>/dev/null; }

# Starts the roles that do not run. Sets STARTED to their names.
roles_up() {
    local role
    STARTED=
    for role in $ROLES; do
        if process_lives "$role"; then
            if [ -e "$STATE/run/$role.build" ] && [ "$(cat "$STATE/run/$role.build")" != "$(build_id)" ]; then
                say "$role runs an older build; ./dev down and ./dev up take the new one."
            fi
            continue
        fi
        exchange_taken_ports "$(echo "$role" | tr '[:lower:]' '[:upper:]')_ADMIN"
        if [ "$role" = door ]; then exchange_taken_ports DOOR_HTTP; fi
        step "Starting $role (admin port $(role_port "$role"))"
        with_env "role_env $role" process_start "$role" "$AUTOMATION" serve --roles "$role"
        build_id | write_file "$STATE/run/$role.build"
        STARTED="$STARTED $role"
    done
    for role in $ROLES; do
        process_await "$role" 60 role_ready "$role"
    done
}

roles_live() {
    local role
    for role in $ROLES; do
        if process_lives "$role"; then return 0; fi
    done
    return 1
}

# All are asked first and waited for afterwards, so their drains overlap.
roles_down() {
    local role
    for role in $ROLES; do
        if process_lives "$role"; then step "Stopping $role"; fi
        process_signal "$role" TERM
    done
    for role in $ROLES; do
        process_await_end "$role" 30
        rm -f "$STATE/run/$role.build"
    done
}
