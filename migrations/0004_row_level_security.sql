-- Who sees what. Row-level security is enabled and forced on every table with a tenant: a missing setting shows
-- nothing, and not even the owner bypasses it. `nullif` matters: on a reused connection an unset setting is ''.

CREATE FUNCTION app_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.tenant_id', true), '')::uuid;
CREATE FUNCTION app_tenants() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.tenant_ids', true), '')::uuid[];

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'tenants', 'publisher_grants', 'workflows', 'workflow_versions', 'workflow_nodes', 'workflow_edges',
        'workflow_triggers', 'workflow_schedules', 'event_receipts', 'events', 'enrolments', 'runs_open',
        'runs_finished', 'workflow_run_logs', 'wakeups', 'waits', 'outbox', 'contacts', 'tasks', 'notes',
        'parked_events'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY owner ON %I TO automation_owner USING (true) WITH CHECK (true)', name);
        -- The sub-selects are evaluated once per statement, not once per row.
        EXECUTE format('CREATE POLICY api ON %I TO automation_api
                        USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()))', name);
    END LOOP;

    -- Workers look rows of these up by their whole key: the scope is a filter over a hashed list, so that the planner
    -- does not take it for the index condition, which would read every row of the scope's tenants.
    FOREACH name IN ARRAY ARRAY[
        'event_receipts', 'events', 'enrolments', 'runs_open', 'runs_finished', 'workflow_run_logs', 'wakeups',
        'waits', 'outbox', 'contacts', 'tasks', 'notes'
    ] LOOP
        EXECUTE format('CREATE POLICY worker ON %I TO automation_worker
                        USING (tenant_id IN (SELECT unnest(app_tenants())))
                        WITH CHECK (tenant_id IN (SELECT unnest(app_tenants())))', name);
    END LOOP;
    -- Of these they read whatever the scope gives: here it is the index condition.
    FOREACH name IN ARRAY ARRAY[
        'tenants', 'publisher_grants', 'workflows', 'workflow_versions', 'workflow_nodes', 'workflow_edges',
        'workflow_triggers', 'workflow_schedules', 'parked_events'
    ] LOOP
        EXECUTE format('CREATE POLICY worker ON %I TO automation_worker
                        USING (tenant_id = ANY ((SELECT app_tenants())::uuid[]))
                        WITH CHECK (tenant_id = ANY ((SELECT app_tenants())::uuid[]))', name);
    END LOOP;
END $$;

-- Keys and ids of tenants are no secret to a worker, which has to resolve them before it can name them.
CREATE POLICY worker_resolves ON tenants FOR SELECT TO automation_worker USING (true);

-- The scheduler works over all tenants, on what is owed and nothing else.
CREATE POLICY scheduler ON wakeups TO automation_scheduler USING (true) WITH CHECK (true);
CREATE POLICY scheduler ON outbox TO automation_scheduler USING (true) WITH CHECK (true);
CREATE POLICY scheduler ON workflow_schedules TO automation_scheduler USING (true) WITH CHECK (true);
-- It records what was parked, and cannot read it back: to count an occurrence it has to see the row, but by its grants
-- only the number.
CREATE POLICY scheduler_records ON parked_events FOR INSERT TO automation_scheduler WITH CHECK (true);
CREATE POLICY scheduler_sees ON parked_events FOR SELECT TO automation_scheduler USING (true);
CREATE POLICY scheduler_counts ON parked_events FOR UPDATE TO automation_scheduler USING (true) WITH CHECK (true);

-- Operators administer tenants and see parked events, also those without a tenant.
CREATE POLICY operator ON tenants TO automation_operator USING (true) WITH CHECK (true);
CREATE POLICY operator ON publisher_grants TO automation_operator USING (true) WITH CHECK (true);
CREATE POLICY operator ON parked_events FOR SELECT TO automation_operator USING (true);

GRANT USAGE ON SCHEMA public TO automation_api, automation_worker, automation_scheduler, automation_operator;

GRANT SELECT, UPDATE ON tenants TO automation_api;
GRANT SELECT ON publisher_grants, event_receipts, events, enrolments, runs_finished, workflow_run_logs, waits,
    contacts, tasks, notes, parked_events, workflow_runs TO automation_api;
GRANT SELECT, INSERT, UPDATE ON workflows TO automation_api;
GRANT SELECT, INSERT ON workflow_versions, workflow_nodes, workflow_edges, workflow_triggers TO automation_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON workflow_schedules TO automation_api;
-- Cancelling and resuming runs.
GRANT SELECT, UPDATE, DELETE ON runs_open, wakeups TO automation_api;
GRANT INSERT ON runs_finished, workflow_run_logs TO automation_api;
GRANT UPDATE ON enrolments TO automation_api;

GRANT SELECT ON tenants, publisher_grants, workflows, workflow_versions, workflow_triggers TO automation_worker;
GRANT SELECT, INSERT ON event_receipts, events, workflow_run_logs, runs_finished, notes, tasks TO automation_worker;
GRANT SELECT, INSERT, UPDATE ON enrolments, contacts TO automation_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON runs_open, wakeups, waits TO automation_worker;
GRANT SELECT, INSERT ON outbox TO automation_worker;
GRANT SELECT ON workflow_runs TO automation_worker;

GRANT SELECT, UPDATE, DELETE ON wakeups, outbox, workflow_schedules TO automation_scheduler;
GRANT INSERT, UPDATE ON parked_events TO automation_scheduler;
GRANT SELECT (parked_id, occurrences) ON parked_events TO automation_scheduler;

GRANT SELECT, INSERT, UPDATE ON tenants TO automation_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON publisher_grants TO automation_operator;
GRANT SELECT ON parked_events TO automation_operator;
