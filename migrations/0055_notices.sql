-- What the engine tells whoever owns a workflow: a row for each thing that is wrong, however often it happens. Bounded per tenant by
-- what writes it, and forgotten when it has not happened for 90 days, or 30 days after somebody dismissed it.
CREATE TABLE notices (
    tenant_id    uuid NOT NULL,
    notice_id    uuid NOT NULL, -- a hash of kind and subject
    kind         text NOT NULL,
    subject      text NOT NULL,
    workflows    text[] NOT NULL, -- keys of those whose owners are told
    detail       jsonb NOT NULL, -- of the latest time
    occurrences  bigint NOT NULL CHECK (occurrences > 0),
    first_at     timestamptz NOT NULL,
    last_at      timestamptz NOT NULL,
    dismissed_at timestamptz,
    dismissed_by text,
    PRIMARY KEY (tenant_id, notice_id),
    CHECK ((dismissed_at IS NULL) = (dismissed_by IS NULL))
);

ALTER TABLE notices ENABLE ROW LEVEL SECURITY;
ALTER TABLE notices FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON notices TO automation_owner USING (true) WITH CHECK (true);
CREATE POLICY api ON notices TO automation_api
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
CREATE POLICY worker ON notices TO automation_worker
    USING (tenant_id IN (SELECT unnest(app_tenants()))) WITH CHECK (tenant_id IN (SELECT unnest(app_tenants())));
GRANT SELECT, UPDATE (dismissed_at, dismissed_by) ON notices TO automation_api;
GRANT SELECT, INSERT, UPDATE ON notices TO automation_worker;

INSERT INTO quotas VALUES ('notices', 1073741824::bigint);

CREATE FUNCTION notices_expire() RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    expired int;
BEGIN
    DELETE FROM notices
     WHERE last_at < now() - interval '90 days' OR dismissed_at < now() - interval '30 days';
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END $$;
REVOKE ALL ON FUNCTION notices_expire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notices_expire TO automation_scheduler;
