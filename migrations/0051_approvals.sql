-- What runs ask people to approve: a row for each visit of a node that asks. It is written with the checkpoint at which the run
-- begins to wait, and says how it ended: by whom, or that nobody said anything in time, or that the run went on without it.
CREATE TABLE approvals (
    tenant_id   uuid NOT NULL,
    approval_id uuid NOT NULL, -- of run, node and visit
    run_id      uuid NOT NULL, -- no foreign key: the run moves between tables
    workflow_id uuid NOT NULL,
    node        text NOT NULL,
    visit       int NOT NULL,
    state       text NOT NULL DEFAULT 'pending'
                CHECK (state IN ('pending', 'approved', 'rejected', 'timed_out', 'cancelled')),
    question    text NOT NULL,
    approvers   text[] NOT NULL,
    asked_at    timestamptz NOT NULL,
    due_at      timestamptz, -- from then on it is too late for an answer; null: never
    decided_by  text,
    comment     text,
    closed_at   timestamptz, -- when it was decided, or came to nothing
    PRIMARY KEY (tenant_id, approval_id),
    CHECK ((state IN ('approved', 'rejected')) = (decided_by IS NOT NULL)),
    CHECK ((state = 'pending') = (closed_at IS NULL))
);
CREATE INDEX approvals_closed ON approvals (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX approvals_pending ON approvals (tenant_id, approval_id) WHERE state = 'pending';

ALTER TABLE approvals ENABLE ROW LEVEL SECURITY;
ALTER TABLE approvals FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON approvals TO automation_owner USING (true) WITH CHECK (true);
CREATE POLICY api ON approvals TO automation_api
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
CREATE POLICY worker ON approvals TO automation_worker
    USING (tenant_id IN (SELECT unnest(app_tenants())))
    WITH CHECK (tenant_id IN (SELECT unnest(app_tenants())));
GRANT SELECT, UPDATE ON approvals TO automation_api;
GRANT SELECT, INSERT, UPDATE ON approvals TO automation_worker;
INSERT INTO quotas VALUES ('approvals', 10 * 1073741824::bigint);

-- Forgets approvals that were closed longer ago than runs are kept, a bounded number at a time; returns how many.
CREATE FUNCTION approvals_expire(most int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    expired int;
BEGIN
    DELETE FROM approvals WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM approvals
         WHERE closed_at < now() - make_interval(days => (SELECT keep_days FROM retention WHERE table_name = 'runs_finished'))
         LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END $$;
REVOKE ALL ON FUNCTION approvals_expire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION approvals_expire TO automation_scheduler;
