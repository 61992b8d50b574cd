-- How events come in over HTTP: API keys of publishers, and webhooks that other systems call.

CREATE TABLE api_keys (
    tenant_id    uuid NOT NULL REFERENCES tenants,
    api_key_id   uuid NOT NULL,
    name         text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    prefix       text NOT NULL, -- the beginning of the key, for people
    hash         bytea NOT NULL CHECK (length(hash) = 32), -- SHA-256 of the key, which is nowhere
    -- The same as the grant `apikey:<name>`, by which ingest judges what comes from this key.
    event_types  text[] NOT NULL CHECK (cardinality(event_types) > 0),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz, -- to the minute
    PRIMARY KEY (tenant_id, api_key_id)
);
-- A key says whose it is, so it is looked up before any tenant is known.
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash);
CREATE UNIQUE INDEX api_keys_by_name ON api_keys (tenant_id, name) WHERE revoked_at IS NULL;

CREATE TABLE hooks (
    tenant_id    uuid NOT NULL REFERENCES tenants,
    hook_id      text NOT NULL CHECK (hook_id ~ '^hk_[A-Za-z0-9_-]{32}$'),
    name         text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    verification text NOT NULL CHECK (verification IN ('standard', 'token')),
    headers      text[] NOT NULL, -- those that become part of the event
    id_header    text, -- where a caller that does not sign says which delivery it is
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz, -- to the minute
    PRIMARY KEY (tenant_id, hook_id),
    UNIQUE (tenant_id, name)
);
-- As with keys.
CREATE UNIQUE INDEX hooks_by_id ON hooks (hook_id);

-- Several at a time, while one takes the place of another.
CREATE TABLE hook_secrets (
    tenant_id   uuid NOT NULL,
    hook_id     text NOT NULL,
    secret_id   uuid NOT NULL,
    key_id      text NOT NULL,  -- the key-encryption key that wrapped the data key
    wrapped_key bytea NOT NULL, -- the data key, encrypted
    ciphertext  bytea NOT NULL, -- the secret, encrypted with the data key
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    PRIMARY KEY (tenant_id, hook_id, secret_id),
    FOREIGN KEY (tenant_id, hook_id) REFERENCES hooks
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['api_keys', 'hooks', 'hook_secrets'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY owner ON %I TO automation_owner USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY api ON %I TO automation_api
                        USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()))', name);
        EXECUTE format('CREATE POLICY worker ON %I TO automation_worker
                        USING (tenant_id IN (SELECT unnest(app_tenants())))
                        WITH CHECK (tenant_id IN (SELECT unnest(app_tenants())))', name);
    END LOOP;
END $$;

-- Whoever makes keys and secrets cannot read them back.
GRANT SELECT (tenant_id, api_key_id, name, prefix, event_types, created_at, expires_at, revoked_at, last_used_at)
    ON api_keys TO automation_api;
GRANT INSERT, UPDATE (revoked_at) ON api_keys TO automation_api;
GRANT SELECT, INSERT, DELETE ON hooks TO automation_api;
GRANT SELECT (tenant_id, hook_id, secret_id, key_id, created_at, expires_at) ON hook_secrets TO automation_api;
GRANT INSERT, DELETE, UPDATE (expires_at) ON hook_secrets TO automation_api;

-- Keys and webhooks are publishers, so they have grants, which come and go with them; grants of the broker's users are
-- the operators' alone. Operators are members of the API's role, so these policies ask who acts.
GRANT INSERT, UPDATE, DELETE ON publisher_grants TO automation_api;
CREATE POLICY api_inserts ON publisher_grants AS RESTRICTIVE FOR INSERT TO automation_api
    WITH CHECK (current_user <> 'automation_api' OR amqp_user ~ '^(apikey|hook):');
CREATE POLICY api_updates ON publisher_grants AS RESTRICTIVE FOR UPDATE TO automation_api
    USING (current_user <> 'automation_api' OR amqp_user ~ '^(apikey|hook):');
CREATE POLICY api_deletes ON publisher_grants AS RESTRICTIVE FOR DELETE TO automation_api
    USING (current_user <> 'automation_api' OR amqp_user ~ '^(apikey|hook):');

-- Workers say when something was used, and wrap data keys anew.
GRANT SELECT (tenant_id, api_key_id, last_used_at), UPDATE (last_used_at) ON api_keys TO automation_worker;
GRANT SELECT (tenant_id, hook_id, last_used_at), UPDATE (last_used_at) ON hooks TO automation_worker;
GRANT SELECT, UPDATE (key_id, wrapped_key) ON hook_secrets TO automation_worker;

-- The two look-ups that come before any tenant is known: by what nobody knows who was not given it.
CREATE FUNCTION api_key_by_hash(sought bytea)
    RETURNS TABLE (tenant_id uuid, tenant_key text, api_key_id uuid, name text, event_types text[], last_used_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.tenant_id, t.key, k.api_key_id, k.name, k.event_types, k.last_used_at
      FROM api_keys k JOIN tenants t ON t.tenant_id = k.tenant_id
     WHERE k.hash = sought AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
$$;

-- A row per secret that is good now.
CREATE FUNCTION hook_by_id(sought text)
    RETURNS TABLE (tenant_id uuid, tenant_key text, name text, verification text, headers text[], id_header text,
                   last_used_at timestamptz, secret_id uuid, key_id text, wrapped_key bytea, ciphertext bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT h.tenant_id, t.key, h.name, h.verification, h.headers, h.id_header, h.last_used_at,
           s.secret_id, s.key_id, s.wrapped_key, s.ciphertext
      FROM hooks h
      JOIN tenants t ON t.tenant_id = h.tenant_id
      JOIN hook_secrets s ON s.tenant_id = h.tenant_id AND s.hook_id = h.hook_id
     WHERE h.hook_id = sought AND (s.expires_at IS NULL OR s.expires_at > now())
     ORDER BY s.created_at DESC
$$;

REVOKE ALL ON FUNCTION api_key_by_hash, hook_by_id FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_key_by_hash, hook_by_id TO automation_worker;
