-- Schedules of published workflows: what the scheduler needs to work out slots, without sight of workflows and tenants.
-- Nothing wrote this table before.

ALTER TABLE workflow_schedules
    DROP COLUMN cron,
    DROP COLUMN every,
    DROP COLUMN timezone,
    DROP COLUMN next_at,
    ADD COLUMN schedule_id  uuid NOT NULL, -- a function of workflow and trigger
    ADD COLUMN version_id   uuid NOT NULL, -- the published version, which the definition is of
    ADD COLUMN tenant_key   text NOT NULL, -- events carry it
    ADD COLUMN definition   jsonb NOT NULL, -- `schedule` of the trigger
    ADD COLUMN anchor_at    timestamptz NOT NULL, -- intervals count from here unless they name an anchor
    ADD COLUMN paused       boolean NOT NULL DEFAULT false, -- with its workflow
    ADD COLUMN next_slot_at timestamptz, -- null: the schedule has ended
    ADD COLUMN last_slot_at timestamptz, -- the last slot that fired
    ADD COLUMN fired        bigint NOT NULL DEFAULT 0,
    ADD COLUMN skipped      bigint NOT NULL DEFAULT 0,
    -- The scheduler looks from here: the next slot with its jitter.
    ADD COLUMN due_at       timestamptz NOT NULL,
    ADD FOREIGN KEY (tenant_id, version_id) REFERENCES workflow_versions,
    ADD UNIQUE (tenant_id, schedule_id),
    ADD CHECK ((due_at < 'infinity') = (NOT paused AND next_slot_at IS NOT NULL));
CREATE INDEX workflow_schedules_due_at_idx ON workflow_schedules (due_at);

-- The scheduler moves schedules on, and writes events of slots of schedules that exist; no others.
REVOKE UPDATE, DELETE ON workflow_schedules FROM automation_scheduler;
GRANT UPDATE (next_slot_at, last_slot_at, fired, skipped, due_at) ON workflow_schedules TO automation_scheduler;
GRANT INSERT (tenant_id, run_id, event_type, body) ON outbox TO automation_scheduler;
CREATE POLICY scheduler_fires ON outbox AS RESTRICTIVE FOR INSERT TO automation_scheduler WITH CHECK (
    event_type IN ('schedule.cron', 'schedule.interval')
    AND EXISTS (SELECT FROM workflow_schedules s
                 WHERE s.tenant_id = outbox.tenant_id AND s.schedule_id = outbox.run_id));
