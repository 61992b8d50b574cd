-- What authorizes requests to the world outside. Secrets are encrypted before they come here, and bound to tenant and
-- record; the keys that open them are never in the database.

CREATE TABLE credentials (
    tenant_id     uuid NOT NULL REFERENCES tenants,
    credential_id uuid NOT NULL,
    key           text NOT NULL CHECK (key ~ '^[a-z0-9][a-z0-9_-]{0,63}$'), -- what workflows name it by
    kind          text NOT NULL CHECK (kind IN ('bearer', 'basic', 'header', 'query', 'hmac')),
    fields        jsonb NOT NULL DEFAULT '{}', -- what the kind needs beside the secret: a user's name, a header's name
    allowed_hosts text[] NOT NULL CHECK (cardinality(allowed_hosts) BETWEEN 1 AND 64),
    version       int NOT NULL DEFAULT 1 CHECK (version > 0), -- moves with every change of the secret
    key_id        text NOT NULL,  -- the key-encryption key that wrapped the data key
    wrapped_key   bytea NOT NULL, -- the data key, encrypted
    ciphertext    bytea NOT NULL, -- the secret, encrypted with the data key
    created_at    timestamptz NOT NULL DEFAULT now(),
    rotated_at    timestamptz,
    used_at       timestamptz, -- to the minute
    PRIMARY KEY (tenant_id, credential_id),
    UNIQUE (tenant_id, key)
);

ALTER TABLE credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON credentials TO automation_owner USING (true) WITH CHECK (true);
CREATE POLICY api ON credentials TO automation_api
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
-- As a filter, for look-ups by the whole key.
CREATE POLICY worker ON credentials TO automation_worker
    USING (tenant_id IN (SELECT unnest(app_tenants()))) WITH CHECK (tenant_id IN (SELECT unnest(app_tenants())));

-- Whoever sets a secret cannot read one back: neither the encrypted secret nor its key.
GRANT SELECT (tenant_id, credential_id, key, kind, fields, allowed_hosts, version, key_id, created_at, rotated_at, used_at)
    ON credentials TO automation_api;
GRANT INSERT, DELETE ON credentials TO automation_api;
GRANT UPDATE (kind, fields, allowed_hosts, version, key_id, wrapped_key, ciphertext, rotated_at)
    ON credentials TO automation_api;
-- Workers use secrets, say when, and wrap data keys anew; they cannot change what a secret is or where it may go.
GRANT SELECT ON credentials TO automation_worker;
GRANT UPDATE (key_id, wrapped_key, used_at) ON credentials TO automation_worker;
