-- What processes died of, and the parts of workflows that are suspended because of it (docs/adr/0018).

-- What is, or was, in hand of those who handle with care what came back from a process that vanished. Each part is marked
-- before it is evaluated; a mark that whoever comes next finds was left behind by a death. Ids alone, no content.
CREATE TABLE suspects (
    tenant_id   uuid NOT NULL, -- all zeros as long as a message has not been read
    subject     uuid NOT NULL, -- the message, event or run
    kind        text NOT NULL CHECK (kind IN ('message', 'event', 'trigger', 'enrolment', 'node')),
    workflow_id uuid NOT NULL, -- all zeros for a message or an event
    version_id  uuid NOT NULL,
    part_id     text NOT NULL, -- the trigger or node; else empty
    in_hand     boolean NOT NULL,
    deaths      int NOT NULL DEFAULT 0 CHECK (deaths >= 0),
    marked_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, subject, kind, version_id, part_id)
);

-- Parts that are evaluated no more. One row for a part of a version: it goes when a person lifts it, and says nothing of
-- other versions.
CREATE TABLE suspended_parts (
    tenant_id    uuid NOT NULL REFERENCES tenants,
    version_id   uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('trigger', 'enrolment', 'node')),
    part_id      text NOT NULL,
    workflow_id  uuid NOT NULL,
    subject      uuid NOT NULL, -- the event or run over which the last process died
    deaths       int NOT NULL CHECK (deaths > 0),
    suspended_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version_id, kind, part_id),
    FOREIGN KEY (tenant_id, version_id) REFERENCES workflow_versions
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['suspects', 'suspended_parts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY owner ON %I TO automation_owner USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY api ON %I TO automation_api
                        USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()))', name);
        EXECUTE format('CREATE POLICY worker ON %I TO automation_worker
                        USING (tenant_id IN (SELECT unnest(app_tenants())))
                        WITH CHECK (tenant_id IN (SELECT unnest(app_tenants())))', name);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON suspects TO automation_worker;
GRANT SELECT ON suspended_parts TO automation_worker;
-- A person lifts a suspension, and with it what was held against the part.
GRANT SELECT, DELETE ON suspects, suspended_parts TO automation_api;

-- Suspends a part that processes died of, and has every ingest read the tenant's workflows anew. Returns whether it was not
-- suspended before. A worker cannot suspend what it holds no deaths against.
CREATE FUNCTION suspend_part(tenant uuid, of_subject uuid, of_kind text, of_version uuid, of_part text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO suspended_parts (tenant_id, version_id, kind, part_id, workflow_id, subject, deaths)
    SELECT s.tenant_id, s.version_id, s.kind, s.part_id, v.workflow_id, s.subject, s.deaths
      FROM suspects s JOIN workflow_versions v ON v.tenant_id = s.tenant_id AND v.version_id = s.version_id
     WHERE s.tenant_id = tenant AND s.subject = of_subject AND s.kind = of_kind AND s.version_id = of_version
       AND s.part_id = of_part AND s.deaths > 0 AND s.tenant_id = ANY (app_tenants())
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE tenants SET catalogue_version = catalogue_version + 1 WHERE tenant_id = tenant;
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION suspend_part FROM PUBLIC;
GRANT EXECUTE ON FUNCTION suspend_part TO automation_worker;

-- The suspended nodes of all tenants, by id alone: executors keep them in memory, and ask every few seconds.
CREATE FUNCTION suspended_nodes(OUT version_id uuid, OUT node_id text) RETURNS SETOF record LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT version_id, part_id FROM suspended_parts WHERE kind = 'node'
$$;
REVOKE ALL ON FUNCTION suspended_nodes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION suspended_nodes TO automation_worker;

-- How many parts of published versions are suspended in the whole fleet, and since when the first is.
CREATE FUNCTION fleet_suspended(OUT count bigint, OUT since timestamptz) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*), min(p.suspended_at) FROM suspended_parts p
      JOIN workflows w ON w.tenant_id = p.tenant_id AND w.version_id = p.version_id
$$;
REVOKE ALL ON FUNCTION fleet_suspended FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet_suspended TO automation_scheduler, automation_operator;

-- Forgets marks of a day ago: what they are about is through, or comes back with a mark of its own. And suspensions of 90 days
-- ago, of versions that are not published any more. Should a run still be pinned to one, the part is found again.
CREATE FUNCTION blame_expire() RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    expired int;
BEGIN
    DELETE FROM suspects WHERE marked_at < now() - interval '1 day';
    GET DIAGNOSTICS expired = ROW_COUNT;
    DELETE FROM suspended_parts p
     WHERE p.suspended_at < now() - interval '90 days'
       AND NOT EXISTS (SELECT FROM workflows w WHERE w.tenant_id = p.tenant_id AND w.version_id = p.version_id);
    RETURN expired;
END $$;
REVOKE ALL ON FUNCTION blame_expire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION blame_expire TO automation_scheduler;
