-- The audit log with a key that is not in the database: docs/adr/0022. `audit_log` stays as the log from before; versions
-- before this one still write to it, and the keyed chain seals how far it went.

-- What stays of an entry for ever.
CREATE TABLE audit_links (
    tenant_id  uuid NOT NULL, -- the nil UUID for what concerns no tenant
    seq        bigint NOT NULL CHECK (seq > 0),
    at         timestamptz NOT NULL,
    action     text NOT NULL CHECK (action <> ''),
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32), -- to the words
    proof      text NOT NULL CHECK (jsonb_typeof(proof::jsonb) = 'object'), -- text, because the bytes count
    key_id     text NOT NULL,
    mac        bytea NOT NULL CHECK (octet_length(mac) = 32), -- over all this and the MAC before it
    PRIMARY KEY (tenant_id, seq)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_links
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();

-- Who did it, to what, and how. Rows may go, and the link says that they did.
CREATE TABLE audit_words (
    tenant_id uuid NOT NULL,
    seq       bigint NOT NULL,
    salt      bytea NOT NULL CHECK (octet_length(salt) = 32),
    actor     text NOT NULL CHECK (actor <> ''),
    subject   text NOT NULL,
    detail    text NOT NULL CHECK (detail::jsonb IS NOT NULL),
    PRIMARY KEY (tenant_id, seq),
    FOREIGN KEY (tenant_id, seq) REFERENCES audit_links
);
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit_words
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();

-- Where each chain ends, so that a cut shows. It only moves ahead.
CREATE TABLE audit_heads (
    tenant_id   uuid PRIMARY KEY,
    seq         bigint NOT NULL CHECK (seq > 0),
    mac         bytea NOT NULL CHECK (octet_length(mac) = 32),
    legacy_seq  bigint NOT NULL CHECK (legacy_seq >= 0), -- so far `audit_log` is sealed
    legacy_hash bytea NOT NULL CHECK (octet_length(legacy_hash) = 32),
    key_id      text NOT NULL,
    seal        bytea NOT NULL CHECK (octet_length(seal) = 32)
);
CREATE FUNCTION audit_heads_move_ahead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the head of the audit log moves ahead alone' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER ahead BEFORE UPDATE ON audit_heads FOR EACH ROW
    WHEN (NEW.tenant_id <> OLD.tenant_id OR NEW.seq <= OLD.seq OR NEW.legacy_seq < OLD.legacy_seq)
    EXECUTE FUNCTION audit_heads_move_ahead();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['audit_links', 'audit_words', 'audit_heads'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY owner ON %I TO automation_owner USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY api ON %I TO automation_api
                        USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()))', name);
    END LOOP;
END $$;

GRANT SELECT, INSERT ON audit_links, audit_words TO automation_api;
GRANT SELECT, INSERT, UPDATE ON audit_heads TO automation_api;
-- Erasing is for a person at the command line.
GRANT DELETE ON audit_words TO automation_operator;

-- As large as what people look at: the log, what it says of people, and where it ends.
INSERT INTO quotas
SELECT name, 5 * 1073741824::bigint FROM unnest(ARRAY['audit_links', 'audit_words']) AS name
UNION ALL
SELECT 'audit_heads', 1073741824::bigint;
