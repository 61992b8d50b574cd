-- An archived workflow starts no run; those that are open go on. A deleted one is gone for good: its key is free again, and what is
-- kept of its runs can be read until their retention is over.
ALTER TABLE workflows
    ADD COLUMN deleted_at timestamptz,
    DROP CONSTRAINT workflows_state_check,
    ADD CONSTRAINT workflows_state_check CHECK (state IN ('active', 'paused', 'archived', 'deleted')) NOT VALID,
    ADD CONSTRAINT workflows_deleted_check CHECK ((state = 'deleted') = (deleted_at IS NOT NULL)) NOT VALID,
    DROP CONSTRAINT workflows_tenant_id_key_key;
CREATE UNIQUE INDEX workflows_tenant_id_key_key ON workflows (tenant_id, key) WHERE state <> 'deleted';

-- Parts of what is archived or deleted are nobody's trouble.
CREATE OR REPLACE FUNCTION fleet_suspended(OUT count bigint, OUT since timestamptz) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*), min(p.suspended_at) FROM suspended_parts p
      JOIN workflows w ON w.tenant_id = p.tenant_id AND w.version_id = p.version_id
     WHERE w.state IN ('active', 'paused')
$$;

-- Removes workflows that were deleted 90 days ago and of which no run and no dead letter is kept any more, with their versions and what
-- their entry rules knew.
CREATE FUNCTION workflows_expire() RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone record;
    expired int := 0;
BEGIN
    FOR gone IN
        SELECT w.tenant_id, w.workflow_id FROM workflows w
         WHERE w.state = 'deleted' AND w.deleted_at < now() - interval '90 days'
           AND NOT EXISTS (SELECT FROM runs_open r WHERE r.tenant_id = w.tenant_id AND r.workflow_id = w.workflow_id)
           AND NOT EXISTS (SELECT FROM runs_finished r WHERE r.tenant_id = w.tenant_id AND r.workflow_id = w.workflow_id)
           AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.tenant_id = w.tenant_id AND d.workflow_id = w.workflow_id)
         LIMIT 100
    LOOP
        DELETE FROM suspended_parts p WHERE p.tenant_id = gone.tenant_id AND p.workflow_id = gone.workflow_id;
        DELETE FROM enrolments e WHERE e.tenant_id = gone.tenant_id AND e.workflow_id = gone.workflow_id;
        DELETE FROM workflow_nodes n USING workflow_versions v
         WHERE v.tenant_id = gone.tenant_id AND v.workflow_id = gone.workflow_id
           AND n.tenant_id = v.tenant_id AND n.version_id = v.version_id;
        DELETE FROM workflow_edges e USING workflow_versions v
         WHERE v.tenant_id = gone.tenant_id AND v.workflow_id = gone.workflow_id
           AND e.tenant_id = v.tenant_id AND e.version_id = v.version_id;
        DELETE FROM workflow_triggers t USING workflow_versions v
         WHERE v.tenant_id = gone.tenant_id AND v.workflow_id = gone.workflow_id
           AND t.tenant_id = v.tenant_id AND t.version_id = v.version_id;
        DELETE FROM workflow_versions v WHERE v.tenant_id = gone.tenant_id AND v.workflow_id = gone.workflow_id;
        DELETE FROM workflows w WHERE w.tenant_id = gone.tenant_id AND w.workflow_id = gone.workflow_id;
        expired := expired + 1;
    END LOOP;
    RETURN expired;
END $$;
REVOKE ALL ON FUNCTION workflows_expire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION workflows_expire TO automation_scheduler;
