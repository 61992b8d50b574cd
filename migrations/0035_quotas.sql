-- What each tenant may keep, in bytes and per table, and what it keeps. Processes sum what they write in memory and add it here
-- every ten seconds; once a day the rows themselves are counted, which corrects the sums.

-- The quota of tenants that have none of their own. A table with a tenant that is not listed here fails a test.
CREATE TABLE quotas (
    table_name text PRIMARY KEY,
    max_bytes  bigint NOT NULL CHECK (max_bytes > 0)
);
INSERT INTO quotas
SELECT name, 50 * 1073741824::bigint -- history: 50 GiB each
  FROM unnest(ARRAY['events', 'event_receipts', 'runs_open', 'runs_finished', 'workflow_run_logs', 'effects', 'wakeups',
                    'outbox']) AS name
UNION ALL
SELECT name, 20 * 1073741824::bigint -- records, and what entry rules remember
  FROM unnest(ARRAY['contacts', 'tasks', 'notes', 'enrolments']) AS name
UNION ALL
SELECT name, 5 * 1073741824::bigint -- what people look at
  FROM unnest(ARRAY['dead_letters', 'dead_letter_groups', 'audit_log']) AS name
UNION ALL
SELECT name, 1073741824::bigint -- what was refused, and what people set up
  FROM unnest(ARRAY['parked_events', 'tenants', 'publisher_grants', 'workflows', 'workflow_versions', 'workflow_nodes',
                    'workflow_edges', 'workflow_triggers', 'workflow_schedules', 'api_keys', 'hooks', 'hook_secrets',
                    'credentials', 'tenant_quotas', 'tenant_usage', 'suspects', 'suspended_parts']) AS name;

CREATE TABLE tenant_quotas (
    tenant_id  uuid NOT NULL REFERENCES tenants,
    table_name text NOT NULL REFERENCES quotas,
    max_bytes  bigint NOT NULL CHECK (max_bytes > 0),
    PRIMARY KEY (tenant_id, table_name)
);

-- Of tables that are kept by day there is a row per day, which goes with the day; of others one, of the first day there is.
-- What belongs to no tenant (a parked message of nobody) stands under the nil UUID.
CREATE TABLE tenant_usage (
    tenant_id  uuid NOT NULL,
    table_name text NOT NULL REFERENCES quotas,
    day        date NOT NULL,
    bytes      bigint NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (tenant_id, table_name, day)
) WITH (fillfactor = 70);

-- Which days of which tables were counted.
CREATE TABLE usage_counted (
    table_name text NOT NULL REFERENCES quotas ON DELETE CASCADE,
    day        date NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_name, day)
);

-- The tables of which a tenant keeps more than it may: read with its catalogue version, so knowing it costs no statement.
ALTER TABLE tenants ADD COLUMN over_quota text[] NOT NULL DEFAULT '{}';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenant_quotas', 'tenant_usage'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY owner ON %I TO automation_owner USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY api ON %I FOR SELECT TO automation_api USING (tenant_id = (SELECT app_tenant()))', name);
        EXECUTE format('CREATE POLICY operator ON %I TO automation_operator USING (true) WITH CHECK (true)', name);
    END LOOP;
END $$;
GRANT SELECT ON quotas, tenant_quotas, tenant_usage TO automation_api, automation_operator;
GRANT INSERT, UPDATE, DELETE ON tenant_quotas TO automation_operator;

-- Where a table's bytes of now are kept.
CREATE FUNCTION usage_day(name text) RETURNS date LANGUAGE sql STABLE SET search_path = public, pg_temp SET timezone = 'UTC'
    RETURN CASE WHEN name = 'event_receipts' OR EXISTS (SELECT FROM retention r WHERE r.table_name = name)
                THEN current_date ELSE date '1970-01-01' END;

-- Says of these tenants which quotas they exceed. A tenant's row is written only when that changes, and never waited for: whoever
-- holds it may wait for what the caller holds. The next sum or count judges again.
CREATE FUNCTION usage_judge(of_tenants uuid[]) RETURNS void LANGUAGE sql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
    WITH judged AS (
            SELECT n.tenant_id,
                   coalesce(array_agg(u.table_name ORDER BY u.table_name)
                            FILTER (WHERE u.bytes > coalesce(o.max_bytes, q.max_bytes)), '{}') AS over
              FROM tenants n
              LEFT JOIN (SELECT tenant_id, table_name, sum(bytes) AS bytes FROM tenant_usage
                          WHERE tenant_id = ANY (of_tenants) GROUP BY tenant_id, table_name) u USING (tenant_id)
              LEFT JOIN quotas q USING (table_name)
              LEFT JOIN tenant_quotas o ON (o.tenant_id, o.table_name) = (n.tenant_id, u.table_name)
             WHERE n.tenant_id = ANY (of_tenants) GROUP BY n.tenant_id),
    free AS (
            SELECT t.tenant_id FROM tenants t JOIN judged j USING (tenant_id) WHERE t.over_quota <> j.over
             ORDER BY t.tenant_id FOR NO KEY UPDATE OF t SKIP LOCKED)
    UPDATE tenants t SET over_quota = j.over FROM judged j JOIN free USING (tenant_id) WHERE t.tenant_id = j.tenant_id
$$;

-- Adds what was written, or takes away what was deleted, of each tenant and table.
CREATE FUNCTION usage_add(of_tenants uuid[], of_tables text[], of_bytes bigint[]) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- In the order of the key, as others who add.
    INSERT INTO tenant_usage AS u (tenant_id, table_name, day, bytes)
    SELECT t, n, usage_day(n), greatest(sum(b), 0) FROM unnest(of_tenants, of_tables, of_bytes) AS x (t, n, b)
     GROUP BY t, n ORDER BY t, n
    ON CONFLICT (tenant_id, table_name, day) DO UPDATE SET bytes = u.bytes + excluded.bytes;
    UPDATE tenant_usage u SET bytes = greatest(u.bytes + x.b, 0)
      FROM (SELECT t, n, sum(b) AS b FROM unnest(of_tenants, of_tables, of_bytes) AS x (t, n, b)
             GROUP BY t, n HAVING sum(b) < 0) x
     WHERE (u.tenant_id, u.table_name, u.day) = (x.t, x.n, usage_day(x.n));
    PERFORM usage_judge(of_tenants);
END $$;

-- Bytes of a table that these tenants may still keep; less than nothing for one that is over.
CREATE FUNCTION usage_room(of_tenants uuid[], name text, OUT tenant_id uuid, OUT max_bytes bigint, OUT room bigint)
    RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT x.t, m.most, m.most - coalesce((SELECT sum(u.bytes) FROM tenant_usage u
                                            WHERE u.tenant_id = x.t AND u.table_name = name), 0)::bigint
      FROM unnest(of_tenants) AS x (t)
     CROSS JOIN LATERAL (SELECT coalesce((SELECT o.max_bytes FROM tenant_quotas o
                                           WHERE o.tenant_id = x.t AND o.table_name = name), q.max_bytes) AS most
                           FROM quotas q WHERE q.table_name = name) m
$$;

-- Bytes of a row without what surrounds it: what its columns hold, compressed as they are, and the head of a row.
CREATE FUNCTION row_bytes(of_table regclass) RETURNS text LANGUAGE sql STABLE SET search_path = public, pg_temp
    RETURN (SELECT '28 + ' || string_agg(format('coalesce(pg_column_size(c.%I), 0)', attname), ' + ')
              FROM pg_attribute WHERE attrelid = of_table AND attnum > 0 AND NOT attisdropped);

-- Counts one table, or one day of a table that is kept by day, that was not counted yet; returns what it counted, null when
-- there is nothing left for today. Days are counted once, after their end; other tables once a day, after midnight (UTC).
CREATE FUNCTION usage_count(keep_receipts_days int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    next record;
    changed uuid[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('automation.usage')) THEN
        RETURN NULL; -- another scheduler is at it
    END IF;
    DELETE FROM tenant_usage u USING retention r
     WHERE u.table_name = r.table_name AND u.day < current_date - r.keep_days;
    DELETE FROM tenant_usage WHERE table_name = 'event_receipts' AND day < current_date - keep_receipts_days - 1;
    DELETE FROM usage_counted WHERE day < current_date - 400;
    SELECT x.table_name, x.child, x.day, x.stored_day INTO next FROM (
        SELECT r.table_name, c.relname::text AS child, to_date(right(c.relname, 8), 'YYYYMMDD') AS day,
               to_date(right(c.relname, 8), 'YYYYMMDD') AS stored_day
          FROM retention r JOIN quotas q USING (table_name)
          JOIN pg_inherits i ON i.inhparent = r.table_name::regclass
          JOIN pg_class c ON c.oid = i.inhrelid AND c.relname ~ '_\d{8}$'
         WHERE to_date(right(c.relname, 8), 'YYYYMMDD') < current_date
        UNION ALL
        SELECT q.table_name, q.table_name, current_date, date '1970-01-01'
          FROM quotas q LEFT JOIN retention r USING (table_name)
         WHERE r.table_name IS NULL AND q.table_name <> 'event_receipts' -- of one size: the sums are right
           AND to_regclass(q.table_name) IS NOT NULL) x
     WHERE NOT EXISTS (SELECT FROM usage_counted k WHERE (k.table_name, k.day) = (x.table_name, x.day))
     ORDER BY x.day, x.table_name LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    EXECUTE format('CREATE TEMPORARY TABLE counted ON COMMIT DROP AS
                    SELECT coalesce(c.tenant_id, %L::uuid) AS tenant_id, sum(%s)::bigint AS bytes FROM %I c GROUP BY 1',
                   '00000000-0000-0000-0000-000000000000', row_bytes(next.child::regclass), next.child);
    WITH gone AS (
        DELETE FROM tenant_usage u WHERE u.table_name = next.table_name AND u.day = next.stored_day
           AND NOT EXISTS (SELECT FROM counted c WHERE c.tenant_id = u.tenant_id) RETURNING tenant_id),
    kept AS (
        INSERT INTO tenant_usage AS u SELECT tenant_id, next.table_name, next.stored_day, bytes FROM counted ORDER BY tenant_id
        ON CONFLICT (tenant_id, table_name, day) DO UPDATE SET bytes = excluded.bytes RETURNING tenant_id)
    SELECT array_agg(tenant_id) INTO changed FROM (SELECT * FROM gone UNION SELECT * FROM kept) c;
    INSERT INTO usage_counted (table_name, day) VALUES (next.table_name, next.day);
    DROP TABLE counted;
    PERFORM usage_judge(changed);
    RETURN next.child;
END $$;

-- Parked messages beyond the quota are kept as reason, hash and count, without their bytes.
ALTER TABLE parked_events ALTER COLUMN body DROP NOT NULL;
ALTER TABLE parked_events ADD COLUMN body_bytes int, ADD COLUMN body_sha256 bytea;
ALTER TABLE parked_events ADD CHECK (body IS NOT NULL OR (body_bytes IS NOT NULL AND body_sha256 IS NOT NULL));

GRANT SELECT (body_bytes, body_sha256) ON parked_events TO automation_scheduler;

-- Forgets parked messages that did not come again for so long, a bounded number at a time; returns how many.
CREATE FUNCTION parked_expire(keep interval, most int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    gone record;
BEGIN
    IF keep < interval '7 days' THEN
        RAISE EXCEPTION 'parked events are kept for 7 days at least, not %', keep;
    END IF;
    WITH forgotten AS (
        DELETE FROM parked_events WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM parked_events WHERE last_seen_at < now() - keep LIMIT most FOR UPDATE SKIP LOCKED))
        RETURNING coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') AS tenant_id,
                  500 + coalesce(octet_length(body), 0) + octet_length(headers::text) AS bytes),
    sums AS (SELECT tenant_id, -sum(bytes)::bigint AS bytes, count(*) AS rows FROM forgotten GROUP BY tenant_id)
    SELECT coalesce(array_agg(tenant_id), '{}') AS tenants, coalesce(array_agg(bytes), '{}') AS bytes,
           coalesce(sum(rows), 0)::int AS rows INTO gone FROM sums;
    IF gone.rows > 0 THEN
        PERFORM usage_add(gone.tenants, array_fill('parked_events'::text, ARRAY[cardinality(gone.tenants)]), gone.bytes);
    END IF;
    RETURN gone.rows;
END $$;

-- Which quotas a tenant exceeds, for the door: whoever proved to speak for the tenant is told, and nobody else.
CREATE FUNCTION door_over_quota(of_tenant uuid) RETURNS text[] LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
    SELECT over_quota FROM tenants WHERE tenant_id = of_tenant
$$;

REVOKE ALL ON FUNCTION door_over_quota, usage_day, usage_judge, usage_add, usage_room, row_bytes, usage_count, parked_expire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION usage_add TO automation_worker, automation_scheduler, automation_api;
GRANT EXECUTE ON FUNCTION usage_room, usage_count, parked_expire TO automation_scheduler;
GRANT EXECUTE ON FUNCTION usage_judge TO automation_operator;
GRANT EXECUTE ON FUNCTION door_over_quota TO automation_door;
