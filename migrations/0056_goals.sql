-- What runs are for, of workflows with a goal: a row for each run from its making until its window and a week are over, whether the run
-- is open or not. Ingest looks here by contact and type.
CREATE TABLE run_goals (
    tenant_id   uuid NOT NULL,
    contact_id  uuid NOT NULL,
    event_type  text NOT NULL,
    run_id      uuid NOT NULL, -- no foreign key: the run moves between tables, and its history ends before a long window
    workflow_id uuid NOT NULL,
    version_id  uuid NOT NULL,
    event_id    uuid NOT NULL, -- what started the run, which is no goal of it
    began_at    timestamptz NOT NULL, -- when that happened
    until       timestamptz NOT NULL, -- the last instant that counts
    ends_run    boolean NOT NULL,
    filter      text NOT NULL, -- the condition, with what its templates came to
    met_at      timestamptz, -- when what met it happened
    met_by      uuid,
    PRIMARY KEY (tenant_id, contact_id, event_type, run_id),
    CHECK ((met_at IS NULL) = (met_by IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX run_goals_until ON run_goals (until);
CREATE INDEX run_goals_version ON run_goals (tenant_id, version_id);

-- How many runs there were, and how many met their goal, of those that run_goals has no more.
CREATE TABLE goal_counts (
    tenant_id   uuid NOT NULL,
    workflow_id uuid NOT NULL,
    version_id  uuid NOT NULL,
    entered     bigint NOT NULL,
    converted   bigint NOT NULL,
    PRIMARY KEY (tenant_id, workflow_id, version_id)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['run_goals', 'goal_counts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY owner ON %I TO automation_owner USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY api ON %I TO automation_api
                        USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()))', name);
    END LOOP;
END $$;
CREATE POLICY worker ON run_goals TO automation_worker
    USING (tenant_id IN (SELECT unnest(app_tenants()))) WITH CHECK (tenant_id IN (SELECT unnest(app_tenants())));
GRANT SELECT ON run_goals, goal_counts TO automation_api;
GRANT UPDATE (met_at, met_by) ON run_goals TO automation_api; -- to lock
GRANT SELECT, INSERT, UPDATE (met_at, met_by) ON run_goals TO automation_worker;

INSERT INTO quotas VALUES ('run_goals', 50 * 1073741824::bigint), ('goal_counts', 1073741824::bigint);

-- Counts what no event can meet any more and forgets it, a bounded number at a time; returns how many. An event may be a week late.
CREATE FUNCTION goals_expire(most int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    expired int;
BEGIN
    WITH gone AS (
        DELETE FROM run_goals WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM run_goals WHERE until < now() - interval '7 days' ORDER BY until LIMIT most FOR UPDATE SKIP LOCKED))
        RETURNING tenant_id, workflow_id, version_id, met_at),
    counted AS (
        INSERT INTO goal_counts AS c
        SELECT tenant_id, workflow_id, version_id, count(*), count(met_at) FROM gone GROUP BY 1, 2, 3
        ON CONFLICT (tenant_id, workflow_id, version_id)
            DO UPDATE SET entered = c.entered + EXCLUDED.entered, converted = c.converted + EXCLUDED.converted)
    SELECT count(*) INTO expired FROM gone;
    DELETE FROM goal_counts c WHERE NOT EXISTS (
        SELECT FROM workflow_versions v WHERE v.tenant_id = c.tenant_id AND v.version_id = c.version_id);
    RETURN expired;
END $$;
REVOKE ALL ON FUNCTION goals_expire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION goals_expire TO automation_scheduler;
