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
