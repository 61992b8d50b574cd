-- Who looks after a group of alike failures, and what is known of it. The group itself is its letters.
CREATE TABLE dead_letter_groups (
    tenant_id  uuid NOT NULL,
    signature  text NOT NULL CHECK (signature ~ '^[0-9a-f]{16}$'),
    owner      text CHECK (owner <> ''),
    note       text CHECK (note <> ''),
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL CHECK (changed_by <> ''),
    PRIMARY KEY (tenant_id, signature)
);
ALTER TABLE dead_letter_groups ENABLE ROW LEVEL SECURITY;
ALTER TABLE dead_letter_groups FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON dead_letter_groups TO automation_owner USING (true) WITH CHECK (true);
CREATE POLICY api ON dead_letter_groups TO automation_api
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (owner, note, changed_at, changed_by) ON dead_letter_groups TO automation_api;

-- What is known of a group goes with its last letter.
CREATE OR REPLACE FUNCTION dead_letters_expire(keep interval, most int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    expired int;
BEGIN
    IF keep < interval '7 days' THEN
        RAISE EXCEPTION 'dead letters are kept for 7 days at least, not %', keep;
    END IF;
    WITH gone AS (
        DELETE FROM dead_letters WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM dead_letters WHERE died_at < now() - keep LIMIT most FOR UPDATE SKIP LOCKED))
        RETURNING tenant_id, signature, dead_letter_id),
    empty AS (
        DELETE FROM dead_letter_groups g USING (SELECT DISTINCT tenant_id, signature FROM gone) s
         WHERE g.tenant_id = s.tenant_id AND g.signature = s.signature
           AND NOT EXISTS (SELECT FROM dead_letters d
                            WHERE d.tenant_id = g.tenant_id AND d.signature = g.signature
                              AND d.dead_letter_id NOT IN (SELECT dead_letter_id FROM gone)))
    SELECT count(*) INTO expired FROM gone;
    RETURN expired;
END $$;

-- A person may correct a request before it is sent again: it is stored as another effect, beside the one that failed.
-- It waits to be sent: what tries come to is written by those who try.
GRANT INSERT (tenant_id, run_id, node, visit, action, idempotency_key, delivery, request, status, attempts, started_at)
    ON effects TO automation_api;
CREATE POLICY api_pending ON effects AS RESTRICTIVE FOR INSERT TO automation_api
    WITH CHECK (status = 'pending' AND attempts = 0 AND started_at IS NULL);
