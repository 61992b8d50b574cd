-- Dead letters: what failed for good, kept for a person. The audit log: what people did, in a chain of hashes.

CREATE TABLE dead_letters (
    tenant_id      uuid NOT NULL,
    dead_letter_id uuid NOT NULL, -- time of death and a hash of run and epoch
    run_id         uuid NOT NULL, -- no foreign key: the run moves between tables, and is forgotten first
    epoch          int NOT NULL,  -- the claim that gave up
    workflow_id    uuid NOT NULL,
    version_id     uuid NOT NULL,
    node           text,          -- null when the run failed without a step of its own at fault
    visit          int,
    action         text,          -- an action's key, or the kind of the node
    code           text NOT NULL,
    message        text NOT NULL,
    signature      text NOT NULL CHECK (signature ~ '^[0-9a-f]{16}$'), -- alike failures have the same
    attempts       jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(attempts) = 'array'),
    request        jsonb,         -- as stored before its first try: it names credentials and holds none
    response       jsonb,         -- what came back last
    event_id       uuid NOT NULL,
    event_source   text,          -- null when the event was no longer kept
    event_name     text,          -- its publisher's id
    event_type     text,
    contact_id     uuid,
    run_key        text NOT NULL,
    died_at        timestamptz NOT NULL,
    status         text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'replayed', 'discarded')),
    changed_at     timestamptz,
    changed_by     text,
    note           text,
    PRIMARY KEY (tenant_id, dead_letter_id),
    UNIQUE (tenant_id, run_id, epoch), -- a claim gives up once
    CHECK ((node IS NULL) = (visit IS NULL)),
    CHECK ((changed_at IS NULL) = (changed_by IS NULL)),
    CHECK (status = 'open' OR changed_at IS NOT NULL)
);
CREATE INDEX ON dead_letters (tenant_id, workflow_id, dead_letter_id);
CREATE INDEX ON dead_letters (tenant_id, signature, dead_letter_id);
CREATE INDEX ON dead_letters (tenant_id, contact_id, dead_letter_id) WHERE contact_id IS NOT NULL;
CREATE INDEX ON dead_letters (died_at);

-- Each row's hash covers the row and the hash before it: a row that is changed, removed or put between two others breaks
-- the chain from there on. `detail` is text, because the bytes count.
CREATE TABLE audit_log (
    tenant_id     uuid NOT NULL, -- the nil UUID for what concerns no tenant
    seq           bigint NOT NULL CHECK (seq > 0),
    at            timestamptz NOT NULL,
    actor         text NOT NULL CHECK (actor <> ''),
    action        text NOT NULL,
    subject       text NOT NULL,
    detail        text NOT NULL CHECK (detail::jsonb IS NOT NULL),
    previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash          bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, seq)
);

-- A mistake of the owner's, not an attack: whoever may drop the trigger is found by the chain.
CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();

-- Parked events are handled by people, too.
ALTER TABLE parked_events
    ADD COLUMN status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'replayed', 'discarded')),
    ADD COLUMN changed_at timestamptz,
    ADD COLUMN changed_by text,
    ADD COLUMN note text,
    ADD CHECK ((changed_at IS NULL) = (changed_by IS NULL)),
    ADD CHECK (status = 'open' OR changed_at IS NOT NULL);

ALTER TABLE wakeups DROP CONSTRAINT wakeups_reason_check;
ALTER TABLE wakeups ADD CONSTRAINT wakeups_reason_check
    CHECK (reason IN ('start', 'timer', 'resume', 'retry', 'replay'));

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['dead_letters', 'audit_log'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY owner ON %I TO automation_owner USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY api ON %I TO automation_api
                        USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()))', name);
    END LOOP;
END $$;
CREATE POLICY worker ON dead_letters TO automation_worker
    USING (tenant_id IN (SELECT unnest(app_tenants())))
    WITH CHECK (tenant_id IN (SELECT unnest(app_tenants())));
CREATE POLICY operator_handles ON parked_events FOR UPDATE TO automation_operator USING (true) WITH CHECK (true);

GRANT INSERT ON dead_letters TO automation_worker;
GRANT SELECT, UPDATE (status, changed_at, changed_by, note) ON dead_letters TO automation_api;
GRANT SELECT, INSERT ON audit_log TO automation_api;
GRANT UPDATE (status, changed_at, changed_by, note) ON parked_events TO automation_operator;
-- What was replayed and is refused again is open again: to see that, the scheduler has to see the state.
GRANT SELECT (status, last_seen_at) ON parked_events TO automation_scheduler;
-- Replay moves a run back; SELECT and UPDATE for api stand in the grants for cancelling.
GRANT DELETE ON runs_finished TO automation_api;
GRANT INSERT ON runs_open, wakeups TO automation_api;

-- Forgets dead letters older than their retention, a bounded number at a time; returns how many.
CREATE FUNCTION dead_letters_expire(keep interval, most int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    expired int;
BEGIN
    IF keep < interval '7 days' THEN
        RAISE EXCEPTION 'dead letters are kept for 7 days at least, not %', keep;
    END IF;
    DELETE FROM dead_letters WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM dead_letters WHERE died_at < now() - keep LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END $$;
REVOKE ALL ON FUNCTION dead_letters_expire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dead_letters_expire TO automation_scheduler;
