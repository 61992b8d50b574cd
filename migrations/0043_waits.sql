-- Runs that wait for events of their contact. Ingest asks for them by contact and type; a run writes and removes its rows with
-- its checkpoints. `contact.*` in place of a type stands for whatever says something of the contact.
CREATE TABLE waits (
    tenant_id  uuid NOT NULL,
    contact_id uuid NOT NULL,
    event_type text NOT NULL,
    run_id     uuid NOT NULL, -- no foreign key: the run moves between tables
    PRIMARY KEY (tenant_id, contact_id, event_type, run_id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- The types of events that some version waits for or reads of the past: of these alone ingest keeps who they happened to.
-- `since` is from when on it has.
CREATE TABLE watched_types (
    tenant_id  uuid NOT NULL REFERENCES tenants,
    event_type text NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, event_type)
);

-- What happened to whom, of watched types, as long as the events are kept.
CREATE TABLE contact_events (
    tenant_id   uuid NOT NULL,
    contact_id  uuid NOT NULL,
    event_type  text NOT NULL,
    occurred_at timestamptz NOT NULL,
    event_id    uuid NOT NULL, -- no foreign key: events are partitioned, and dropped by day
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, contact_id, event_type, occurred_at, event_id)
);
CREATE INDEX contact_events_received ON contact_events USING brin (received_at) WITH (pages_per_range = 64);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['waits', 'watched_types', 'contact_events'] LOOP
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
GRANT SELECT, INSERT, DELETE ON waits TO automation_api, automation_worker;
GRANT SELECT, INSERT, UPDATE (since) ON watched_types TO automation_api;
GRANT SELECT ON watched_types TO automation_worker;
GRANT SELECT, INSERT ON contact_events TO automation_api, automation_worker;

INSERT INTO quotas VALUES ('waits', 50 * 1073741824::bigint), ('watched_types', 1073741824::bigint),
                          ('contact_events', 50 * 1073741824::bigint);

-- Forgets what happened longer ago than events are kept, a bounded number at a time; returns how many.
CREATE FUNCTION contact_events_expire(most int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    expired int;
BEGIN
    DELETE FROM contact_events WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM contact_events
         WHERE received_at < now() - make_interval(days => (SELECT keep_days FROM retention WHERE table_name = 'events'))
         LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END $$;
REVOKE ALL ON FUNCTION contact_events_expire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION contact_events_expire TO automation_scheduler;
