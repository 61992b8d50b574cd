-- Who published a version; null: a version of the engine before this one did, which wrote it into the audit log alone.
ALTER TABLE workflow_versions ADD COLUMN published_by text;

-- The version that was published from a file last, or that a file was the same as. Where another one is published, somebody changed
-- the workflow elsewhere, and files are not applied over that unasked. Until now, all were published from files.
ALTER TABLE workflows ADD COLUMN file_version_id uuid;
UPDATE workflows SET file_version_id = version_id;

-- What is being written and not published: one beside each workflow, or for a key that no workflow has yet. It may have problems.
-- Revisions are never given twice, so that nobody takes another draft for the one he knew.
CREATE SEQUENCE workflow_draft_revisions;
CREATE TABLE workflow_drafts (
    tenant_id    uuid NOT NULL REFERENCES tenants,
    key          text NOT NULL,
    revision     bigint NOT NULL DEFAULT nextval('workflow_draft_revisions'), -- moves with every save
    base_version int, -- the version that was published when it was begun; null: none was
    source       text NOT NULL, -- as it was written, comments too
    saved_at     timestamptz NOT NULL DEFAULT now(),
    saved_by     text NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
ALTER TABLE workflow_drafts ENABLE ROW LEVEL SECURITY;
ALTER TABLE workflow_drafts FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON workflow_drafts TO automation_owner USING (true) WITH CHECK (true);
CREATE POLICY api ON workflow_drafts TO automation_api
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON workflow_drafts TO automation_api;
GRANT USAGE ON SEQUENCE workflow_draft_revisions TO automation_api;
INSERT INTO quotas VALUES ('workflow_drafts', 1073741824::bigint);
