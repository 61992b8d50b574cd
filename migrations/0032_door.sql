-- What faces the internet is a role of its own, which touches no table: each thing it has to know or note is one function,
-- asked by what nobody knows who was not given it. Whatever it can be made to do, it cannot list, and it cannot look at
-- another tenant.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'automation_door') THEN
        RAISE EXCEPTION 'the database role automation_door is missing'
            USING HINT = 'run deploy/postgres/roles.sql and deploy/postgres/database.sql as superuser, then migrate again';
    END IF;
END $$;

GRANT USAGE ON SCHEMA public TO automation_door;

-- Whose key has this hash, if it is good now. Its use is noted to the minute; whoever notes it already notes the same
-- minute, so nobody waits.
CREATE FUNCTION door_key(sought bytea)
    RETURNS TABLE (tenant_id uuid, tenant_key text, api_key_id uuid, name text, event_types text[])
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE api_keys SET last_used_at = now()
     WHERE (tenant_id, api_key_id) IN (
           SELECT k.tenant_id, k.api_key_id FROM api_keys k
            WHERE k.hash = sought AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
              AND coalesce(k.last_used_at < now() - interval '1 minute', true)
              FOR UPDATE SKIP LOCKED);
    SELECT k.tenant_id, t.key, k.api_key_id, k.name, k.event_types
      FROM api_keys k JOIN tenants t ON t.tenant_id = k.tenant_id
     WHERE k.hash = sought AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
$$;

-- The webhook with this id, a row for each secret that is good now, sealed: the door's keys open these and no others.
CREATE FUNCTION door_hook(sought text)
    RETURNS TABLE (tenant_id uuid, tenant_key text, name text, verification text, headers text[], id_header text,
                   used_long_ago boolean, secret_id uuid, key_id text, wrapped_key bytea, ciphertext bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT h.tenant_id, t.key, h.name, h.verification, h.headers, h.id_header,
           coalesce(h.last_used_at < now() - interval '1 minute', true),
           s.secret_id, s.key_id, s.wrapped_key, s.ciphertext
      FROM hooks h
      JOIN tenants t ON t.tenant_id = h.tenant_id
      JOIN hook_secrets s ON s.tenant_id = h.tenant_id AND s.hook_id = h.hook_id
     WHERE h.hook_id = sought AND (s.expires_at IS NULL OR s.expires_at > now())
     ORDER BY s.created_at DESC
$$;

-- Somebody who could prove it called this webhook.
CREATE FUNCTION door_hook_used(sought text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE hooks SET last_used_at = now()
     WHERE (tenant_id, hook_id) IN (
           SELECT h.tenant_id, h.hook_id FROM hooks h WHERE h.hook_id = sought FOR UPDATE SKIP LOCKED)
$$;

REVOKE ALL ON FUNCTION door_key, door_hook, door_hook_used FROM PUBLIC;
GRANT EXECUTE ON FUNCTION door_key, door_hook, door_hook_used TO automation_door;

-- The door of the version before is part of ingest. It goes on until it is replaced; the version after takes this away.
COMMENT ON FUNCTION api_key_by_hash IS 'For the door of the version before 0032, as automation_worker';
COMMENT ON FUNCTION hook_by_id IS 'For the door of the version before 0032, as automation_worker';
