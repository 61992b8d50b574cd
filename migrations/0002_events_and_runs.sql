-- Events, runs, and what is owed to them.

-- Decides what was seen before. The key is a function of source and id, never of time. Kept for the dedupe window.
CREATE TABLE event_receipts (
    tenant_id   uuid NOT NULL,
    event_key   uuid NOT NULL,
    received_at timestamptz NOT NULL,
    body_hash   uuid NOT NULL, -- the first 128 bits of the hash over type, subject and data
    PRIMARY KEY (tenant_id, event_key)
);
CREATE INDEX ON event_receipts USING brin (received_at) WITH (pages_per_range = 64);

CREATE TABLE events (
    tenant_id       uuid NOT NULL,
    event_id        uuid NOT NULL, -- time of receipt and the key
    event_key       uuid NOT NULL,
    id              text NOT NULL,
    source          text NOT NULL,
    event_type      text NOT NULL,
    subject         text,
    contact_id      uuid,
    occurred_at     timestamptz NOT NULL,
    received_at     timestamptz NOT NULL,
    correlation_id  text,
    causation_id    text,
    causation_depth smallint NOT NULL DEFAULT 0,
    traceparent     text,
    tracestate      text,
    data            jsonb NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
) PARTITION BY RANGE (event_id);
-- Look-back: what this contact did, in order.
CREATE INDEX ON events (tenant_id, contact_id, event_id) WHERE contact_id IS NOT NULL;

-- What a workflow's entry rules need to know of earlier runs; written only for workflows that have such rules.
CREATE TABLE enrolments (
    tenant_id       uuid NOT NULL,
    workflow_id     uuid NOT NULL,
    run_key         text NOT NULL,
    run_id          uuid,                       -- the latest run
    open            boolean NOT NULL DEFAULT false, -- whether that run is open
    runs            int NOT NULL DEFAULT 0,
    last_started_at timestamptz,
    last_ended_at   timestamptz,
    PRIMARY KEY (tenant_id, workflow_id, run_key),
    CHECK (open = false OR run_id IS NOT NULL)
) WITH (fillfactor = 70);

-- Open runs: small and hot. No index but the key, so that every update stays on its page (HOT).
CREATE TABLE runs_open (
    tenant_id   uuid NOT NULL,
    run_id      uuid NOT NULL, -- time of receipt and a hash of workflow, trigger and event
    workflow_id uuid NOT NULL,
    version_id  uuid NOT NULL,
    trigger_id  text NOT NULL,
    event_id    uuid NOT NULL,
    contact_id  uuid,
    run_key     text NOT NULL,
    status      text NOT NULL CHECK (status IN ('queued', 'running', 'waiting', 'paused')),
    priority    smallint NOT NULL CHECK (priority BETWEEN 0 AND 2),
    epoch       int NOT NULL DEFAULT 0,
    abandoned   smallint NOT NULL DEFAULT 0, -- leases that ran out in a row
    lease_until timestamptz,
    received_at timestamptz NOT NULL,
    state       bytea, -- JSON; null until the first checkpoint
    PRIMARY KEY (tenant_id, run_id),
    CHECK ((status = 'running') = (lease_until IS NOT NULL))
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- Runs that ended, with their last state, so that they can be replayed.
CREATE TABLE runs_finished (
    tenant_id   uuid NOT NULL,
    run_id      uuid NOT NULL,
    workflow_id uuid NOT NULL,
    version_id  uuid NOT NULL,
    trigger_id  text NOT NULL,
    event_id    uuid NOT NULL,
    contact_id  uuid,
    run_key     text NOT NULL,
    status      text NOT NULL CHECK (status IN ('completed', 'failed', 'cancelled')),
    priority    smallint NOT NULL,
    epoch       int NOT NULL,
    received_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    state       bytea NOT NULL,
    PRIMARY KEY (tenant_id, run_id)
) PARTITION BY RANGE (run_id);
CREATE INDEX ON runs_finished (tenant_id, workflow_id, run_id);
CREATE INDEX ON runs_finished (tenant_id, run_id) WHERE status = 'failed';

CREATE VIEW workflow_runs WITH (security_invoker = true) AS
    SELECT tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id, run_key, status, priority,
           epoch, abandoned, lease_until, received_at, NULL::timestamptz AS finished_at, state
      FROM runs_open
    UNION ALL
    SELECT tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id, run_key, status, priority,
           epoch, 0::smallint, NULL::timestamptz, received_at, finished_at, state
      FROM runs_finished;

-- One row per checkpoint: the steps it made, in order.
CREATE TABLE workflow_run_logs (
    tenant_id uuid NOT NULL,
    run_id    uuid NOT NULL,
    seq       int NOT NULL, -- the run's epoch: each claim makes one checkpoint
    logged_at timestamptz NOT NULL,
    worker    text NOT NULL,
    steps     bytea NOT NULL, -- JSON array of steps
    PRIMARY KEY (tenant_id, run_id, seq)
) PARTITION BY RANGE (run_id);

-- What is owed: a row per branch in flight. It is written with the run and removed at the run's end.
CREATE TABLE wakeups (
    tenant_id uuid NOT NULL,
    run_id    uuid NOT NULL,
    token     smallint NOT NULL,
    ready_at  timestamptz NOT NULL, -- no claim before this
    due_at    timestamptz NOT NULL, -- the sweep looks again from here
    sweeps    smallint NOT NULL DEFAULT 0, -- looks so far: the distance to the next doubles
    priority  smallint NOT NULL,
    reason    text NOT NULL CHECK (reason IN ('start', 'timer', 'resume')),
    PRIMARY KEY (tenant_id, run_id, token)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX wakeups_due_at_idx ON wakeups (due_at);

-- Events that a branch waits for.
CREATE TABLE waits (
    tenant_id  uuid NOT NULL,
    run_id     uuid NOT NULL,
    token      smallint NOT NULL,
    name       text NOT NULL,
    event_type text NOT NULL,
    contact_id uuid,
    PRIMARY KEY (tenant_id, run_id, token, name),
    FOREIGN KEY (tenant_id, run_id) REFERENCES runs_open ON DELETE CASCADE
);
CREATE INDEX ON waits (tenant_id, event_type, contact_id);

-- Events that leave for the broker.
CREATE TABLE outbox (
    tenant_id    uuid NOT NULL,
    outbox_id    bigint GENERATED ALWAYS AS IDENTITY,
    run_id       uuid NOT NULL, -- order is kept within a run
    event_type   text NOT NULL,
    body         bytea NOT NULL, -- CloudEvents 1.0, structured JSON
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (tenant_id, outbox_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX ON outbox (outbox_id);
