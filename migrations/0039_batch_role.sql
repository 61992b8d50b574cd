-- Whoever reads a tenant's data through, for what takes longer than an event, is a role of its own: one tenant at a time like
-- the API, so that the planner may choose by that tenant's rows, and not with the settings of workers, who look up keys.
-- It reads, and writes nothing.

DO $$
DECLARE
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'automation_batch') THEN
        RAISE EXCEPTION 'the database role automation_batch is missing'
            USING HINT = 'run deploy/postgres/roles.sql and deploy/postgres/database.sql as superuser, then migrate again';
    END IF;
    FOREACH name IN ARRAY ARRAY[
        'contacts', 'events', 'runs_open', 'runs_finished', 'workflows', 'workflow_versions'
    ] LOOP
        EXECUTE format('CREATE POLICY batch ON %I FOR SELECT TO automation_batch
                        USING (tenant_id = (SELECT app_tenant()))', name);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA public TO automation_batch;
GRANT SELECT ON contacts, events, runs_open, runs_finished, workflow_runs, workflows, workflow_versions TO automation_batch;
