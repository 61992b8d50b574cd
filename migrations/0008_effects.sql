-- Effects outside: each request is stored before its first try, and sent as it is stored ever after.

CREATE TABLE effects (
    tenant_id       uuid NOT NULL,
    run_id          uuid NOT NULL,
    node            text NOT NULL,
    visit           int NOT NULL,
    action          text NOT NULL,
    idempotency_key uuid NOT NULL, -- a function of run, node and visit
    delivery        text NOT NULL CHECK (delivery IN ('at_least_once', 'at_most_once')),
    request         bytea NOT NULL, -- JSON; names credentials, never their values
    -- pending: waits for its turn. started: a try has begun, and nothing is known of it yet. unknown: it was sent once at
    -- most, and nobody knows whether it arrived.
    status          text NOT NULL CHECK (status IN ('pending', 'started', 'done', 'failed', 'unknown')),
    attempts        int NOT NULL DEFAULT 0, -- the attempt that began last
    started_at      timestamptz,
    tries           bytea[] NOT NULL DEFAULT '{}', -- JSON objects: what tries came to, the latest ones, in order
    response        bytea, -- JSON: what came back last
    PRIMARY KEY (tenant_id, run_id, node, visit),
    CHECK ((status = 'pending') OR (started_at IS NOT NULL))
) PARTITION BY RANGE (run_id);

CREATE TABLE effects_default PARTITION OF effects DEFAULT;
INSERT INTO retention VALUES ('effects', 'run_id', 30);

ALTER TABLE effects ENABLE ROW LEVEL SECURITY;
ALTER TABLE effects FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON effects TO automation_owner USING (true) WITH CHECK (true);
CREATE POLICY api ON effects TO automation_api
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
CREATE POLICY worker ON effects TO automation_worker
    USING (tenant_id IN (SELECT unnest(app_tenants())))
    WITH CHECK (tenant_id IN (SELECT unnest(app_tenants())));

GRANT SELECT ON effects TO automation_api;
GRANT SELECT, INSERT, UPDATE ON effects TO automation_worker;

SELECT partitions_ensure(3);
