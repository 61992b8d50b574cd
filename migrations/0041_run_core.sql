-- What a policy did not let leave.
ALTER TABLE effects
    DROP CONSTRAINT effects_status_check,
    DROP CONSTRAINT effects_check,
    ADD CONSTRAINT effects_status_check
        CHECK (status IN ('pending', 'started', 'done', 'failed', 'unknown', 'skipped')) NOT VALID,
    ADD CONSTRAINT effects_check CHECK (status IN ('pending', 'skipped') OR started_at IS NOT NULL) NOT VALID;

-- Commands for the modules that own a screen leave as events do, to another exchange.
ALTER TABLE outbox ADD COLUMN is_command boolean NOT NULL DEFAULT false;
GRANT INSERT (is_command) ON outbox TO automation_scheduler;
CREATE POLICY scheduler_commands_nobody ON outbox AS RESTRICTIVE FOR INSERT TO automation_scheduler
    WITH CHECK (NOT is_command);

-- A claim may give up several branches of a run: a letter for each visit of a node, or for the run as a whole.
ALTER TABLE dead_letters
    DROP CONSTRAINT dead_letters_tenant_id_run_id_epoch_key,
    ADD CONSTRAINT dead_letters_death_key UNIQUE NULLS NOT DISTINCT (tenant_id, run_id, epoch, node, visit);

-- What waiting runs are to hear from outside, kept until a checkpoint has taken it in. A wakeup of the run (token -1) says that
-- there is something; nobody else looks here.
CREATE TABLE run_inbox (
    tenant_id uuid NOT NULL,
    run_id    uuid NOT NULL, -- no foreign key: the run moves between tables
    sequence  bigint GENERATED ALWAYS AS IDENTITY,
    input     bytea NOT NULL, -- JSON
    queued_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, run_id, sequence)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

ALTER TABLE run_inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE run_inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON run_inbox TO automation_owner USING (true) WITH CHECK (true);
CREATE POLICY api ON run_inbox TO automation_api
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
CREATE POLICY worker ON run_inbox TO automation_worker
    USING (tenant_id IN (SELECT unnest(app_tenants())))
    WITH CHECK (tenant_id IN (SELECT unnest(app_tenants())));
GRANT SELECT, INSERT, DELETE ON run_inbox TO automation_api, automation_worker;
INSERT INTO quotas VALUES ('run_inbox', 50 * 1073741824::bigint);

ALTER TABLE wakeups DROP CONSTRAINT wakeups_reason_check;
ALTER TABLE wakeups ADD CONSTRAINT wakeups_reason_check
    CHECK (reason IN ('start', 'timer', 'resume', 'retry', 'replay', 'inbox')) NOT VALID;
