-- How long a tenant's history is kept. Partitions are shared: a day lives as long as the tenant that keeps it longest, and what
-- the others no longer keep of it is deleted, tenant by tenant.

-- What people call the tables: a run is kept with the requests it made, and its log no longer than that.
ALTER TABLE retention ADD COLUMN subject text CHECK (subject IN ('events', 'runs', 'run_logs'));
UPDATE retention r SET subject = s.subject
  FROM (VALUES ('events', 'events'), ('runs_finished', 'runs'), ('effects', 'runs'), ('workflow_run_logs', 'run_logs'))
       AS s (table_name, subject)
 WHERE r.table_name = s.table_name;

CREATE TABLE tenant_retention (
    tenant_id uuid NOT NULL REFERENCES tenants,
    subject   text NOT NULL CHECK (subject IN ('events', 'runs', 'run_logs', 'dead_letters')),
    keep_days int NOT NULL CHECK (keep_days BETWEEN 8 AND 3650), -- longer than events are known again
    PRIMARY KEY (tenant_id, subject)
);
ALTER TABLE tenant_retention ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_retention FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON tenant_retention TO automation_owner USING (true) WITH CHECK (true);
CREATE POLICY api ON tenant_retention FOR SELECT TO automation_api USING (tenant_id = (SELECT app_tenant()));
CREATE POLICY operator ON tenant_retention TO automation_operator USING (true) WITH CHECK (true);
GRANT SELECT ON tenant_retention TO automation_api, automation_operator;
GRANT SELECT ON retention TO automation_operator;
GRANT INSERT, UPDATE, DELETE ON tenant_retention TO automation_operator;
INSERT INTO quotas VALUES ('tenant_retention', 1073741824::bigint);

-- For how many days a tenant keeps rows of a table. A log is kept no longer than its run.
CREATE FUNCTION keep_days(of_tenant uuid, of_table text) RETURNS int LANGUAGE sql STABLE SET search_path = public, pg_temp
    RETURN (SELECT min(coalesce(t.keep_days, r.keep_days))
              FROM retention r LEFT JOIN tenant_retention t ON t.tenant_id = of_tenant AND t.subject = r.subject
             WHERE r.table_name IN (of_table, CASE of_table WHEN 'workflow_run_logs' THEN 'runs_finished' END));

-- For how many days the days of a table are kept: as long as the tenant wants that wants it longest.
CREATE VIEW shared_retention WITH (security_invoker = true) AS
    SELECT r.table_name, r.key_column,
           greatest(r.keep_days, (SELECT max(t.keep_days) FROM tenant_retention t WHERE t.subject = r.subject)) AS keep_days
      FROM retention r;

-- Retires the oldest partition that nobody keeps any more: what has to be kept of it moves to the default partition, the rest is
-- detached, to be dropped by partitions_drop(). Returns its name, or null when none is due. A day's runs go first: what
-- belongs to those that ended late is then known. Fails with lock_timeout when the table is busy; the caller tries again.
CREATE OR REPLACE FUNCTION partitions_retire() RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '50ms' AS $$
DECLARE
    part record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('automation.partitions')) THEN
        RETURN NULL;
    END IF;
    SELECT r.table_name, r.key_column, r.keep_days, c.relname AS child,
           lower_bound_id(to_date(right(c.relname, 8), 'YYYYMMDD')) AS low,
           lower_bound_id(to_date(right(c.relname, 8), 'YYYYMMDD') + 1) AS high INTO part
      FROM shared_retention r
      JOIN pg_inherits i ON i.inhparent = r.table_name::regclass
      JOIN pg_class c ON c.oid = i.inhrelid
     WHERE c.relname ~ '_\d{8}$'
       AND to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - r.keep_days
     ORDER BY right(c.relname, 8), r.table_name <> 'runs_finished', r.table_name LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- Before the lock: no run as old as this day can begin any more.
    CREATE TEMPORARY TABLE kept (tenant_id uuid NOT NULL, id uuid NOT NULL) ON COMMIT DROP;
    EXECUTE 'INSERT INTO kept ' || kept_of_day(part.table_name, part.child, part.low, part.high, part.keep_days);
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', part.table_name);
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', part.table_name, part.child);
    EXECUTE format('INSERT INTO %1$I SELECT p.* FROM kept k CROSS JOIN LATERAL (
                        SELECT * FROM %2$I c WHERE c.tenant_id = k.tenant_id AND c.%3$I = k.id OFFSET 0) AS p',
                   part.table_name, part.child, part.key_column);
    DROP TABLE kept;
    RETURN part.child;
END $$;

-- Drops detached partitions, in a transaction of its own, and forgets rows of the default partitions: runs when they ended
-- long enough ago for their tenant, what belongs to runs when neither an open one nor one that is kept needs it. Returns how
-- many partitions it dropped.
CREATE OR REPLACE FUNCTION partitions_drop() RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    child text;
    part record;
    dropped int := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('automation.partitions')) THEN
        RETURN 0;
    END IF;
    FOR child IN
        SELECT c.relname FROM pg_class c JOIN retention r ON c.relname ~ ('^' || r.table_name || '_\d{8}$')
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', child);
        dropped := dropped + 1;
    END LOOP;
    FOR part IN SELECT * FROM retention ORDER BY table_name <> 'runs_finished' LOOP
        IF part.table_name = 'runs_finished' THEN
            DELETE FROM runs_finished_default p
             WHERE p.finished_at < now() - make_interval(days => keep_days(p.tenant_id, 'runs_finished'));
        ELSE
            EXECUTE format('DELETE FROM %1$I_default p WHERE p.%2$I < lower_bound_id(current_date - keep_days(p.tenant_id, %1$L))
                               AND NOT EXISTS (SELECT 1 FROM runs_open o
                                                WHERE o.tenant_id = p.tenant_id AND o.%2$I = p.%2$I)
                               AND NOT EXISTS (SELECT 1 FROM runs_finished_default o
                                                WHERE o.tenant_id = p.tenant_id AND o.%2$I = p.%2$I)',
                           part.table_name, part.key_column);
        END IF;
    END LOOP;
    RETURN dropped;
END $$;

-- Deletes rows that their tenant keeps no longer of a day that others still keep, at most so many, of one tenant and day; returns
-- how many, null when nothing is due. Which tenants have rows of which days is what their usage tells: a day is counted once it is
-- over, long before anything of it is due. Runs go first. What belongs to a run, and its event, stays as long as the run is open, and
-- as long as its end is no longer ago than the tenant's days.
CREATE FUNCTION tenant_history_expire(most int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    due record;
    condition text;
    gone int;
    remaining bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('automation.history')) THEN
        RETURN NULL; -- another scheduler is at it
    END IF;
    SELECT u.tenant_id, u.table_name, r.key_column, u.day, k.days, p.name AS child INTO due
      FROM shared_retention r
      JOIN tenant_usage u USING (table_name)
     CROSS JOIN LATERAL (SELECT keep_days(u.tenant_id, u.table_name) AS days) k
     CROSS JOIN LATERAL (SELECT format('%s_%s', u.table_name, to_char(u.day, 'YYYYMMDD')) AS name) p
     WHERE k.days < r.keep_days AND u.day < current_date - k.days AND u.bytes > 0
       AND (u.kept_day IS NULL OR u.kept_day < current_date)
       AND to_regclass(p.name) IS NOT NULL
     ORDER BY u.table_name <> 'runs_finished', u.table_name, u.day LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    condition := CASE
        WHEN due.table_name = 'runs_finished' THEN 'p.finished_at < now() - make_interval(days => $2)'
        WHEN due.table_name = 'events' THEN
            'NOT EXISTS (SELECT FROM runs_open o WHERE o.tenant_id = $1 AND o.event_id = p.event_id)
             AND NOT EXISTS (SELECT FROM runs_finished f WHERE f.tenant_id = $1 AND f.event_id = p.event_id
                                AND f.run_id >= lower_bound_id($4) AND f.run_id < lower_bound_id($4 + interval ''1 day'')
                                AND f.finished_at >= now() - make_interval(days => $2))'
        ELSE
            'NOT EXISTS (SELECT FROM runs_open o WHERE o.tenant_id = $1 AND o.run_id = p.run_id)
             AND NOT EXISTS (SELECT FROM runs_finished f WHERE f.tenant_id = $1 AND f.run_id = p.run_id
                                AND f.finished_at >= now() - make_interval(days => $2))'
        END;
    EXECUTE format('WITH old AS (SELECT p.ctid FROM %1$I p WHERE p.tenant_id = $1 AND %2$s LIMIT $3)
                    DELETE FROM %1$I p USING old WHERE p.ctid = old.ctid', due.child, condition)
      USING due.tenant_id, due.days, most, due.day::timestamptz;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone < most THEN
        -- What is left of the day belongs to runs that ended late or are open: it is looked at again tomorrow.
        EXECUTE format('SELECT sum(%s)::bigint FROM %I c WHERE c.tenant_id = $1', row_bytes(due.child::regclass), due.child)
           INTO remaining USING due.tenant_id;
        IF remaining IS NULL THEN
            DELETE FROM tenant_usage u WHERE (u.tenant_id, u.table_name, u.day) = (due.tenant_id, due.table_name, due.day);
        ELSE
            UPDATE tenant_usage u SET bytes = remaining, kept_day = current_date
             WHERE (u.tenant_id, u.table_name, u.day) = (due.tenant_id, due.table_name, due.day);
        END IF;
        PERFORM usage_judge(ARRAY[due.tenant_id]);
    END IF;
    RETURN gone;
END $$;

-- The day on which it was last found that something of this day has to be kept although its time is over.
ALTER TABLE tenant_usage ADD COLUMN kept_day date;

-- Counts one table, or one day of a table that is kept by day, that was not counted yet; returns what it counted, null when
-- there is nothing left for today. Days are counted once, after their end; other tables once a day, after midnight (UTC).
CREATE OR REPLACE FUNCTION usage_count(keep_receipts_days int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    next record;
    changed uuid[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('automation.usage')) THEN
        RETURN NULL; -- another scheduler is at it
    END IF;
    DELETE FROM tenant_usage u USING shared_retention r
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

-- What is known of a group goes with its last letter.
CREATE OR REPLACE FUNCTION dead_letters_expire(keep interval, most int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    expired int;
    shortest interval := (SELECT make_interval(days => min(keep_days)) FROM tenant_retention WHERE subject = 'dead_letters');
BEGIN
    IF keep < interval '7 days' THEN
        RAISE EXCEPTION 'dead letters are kept for 7 days at least, not %', keep;
    END IF;
    WITH gone AS (
        DELETE FROM dead_letters WHERE ctid = ANY (ARRAY(
            SELECT d.ctid FROM dead_letters d LEFT JOIN tenant_retention t ON t.tenant_id = d.tenant_id AND t.subject = 'dead_letters'
             WHERE d.died_at < now() - least(keep, shortest)
               AND d.died_at < now() - coalesce(make_interval(days => t.keep_days), keep)
             LIMIT most FOR UPDATE OF d SKIP LOCKED))
        RETURNING tenant_id, signature, dead_letter_id),
    empty AS (
        DELETE FROM dead_letter_groups g USING (SELECT DISTINCT tenant_id, signature FROM gone) s
         WHERE g.tenant_id = s.tenant_id AND g.signature = s.signature
           AND NOT EXISTS (SELECT FROM dead_letters d
                            WHERE d.tenant_id = g.tenant_id AND d.signature = g.signature
                              AND d.dead_letter_id NOT IN (SELECT dead_letter_id FROM gone)))
    SELECT count(*) INTO expired FROM gone;
    RETURN expired;
END $$;

-- Forgets what happened longer ago than its tenant keeps events, a bounded number at a time; returns how many.
CREATE OR REPLACE FUNCTION contact_events_expire(most int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    expired int;
    of_all int := (SELECT keep_days FROM retention WHERE table_name = 'events');
    shortest int := (SELECT min(keep_days) FROM tenant_retention WHERE subject = 'events');
BEGIN
    DELETE FROM contact_events WHERE ctid = ANY (ARRAY(
        SELECT e.ctid FROM contact_events e LEFT JOIN tenant_retention t ON t.tenant_id = e.tenant_id AND t.subject = 'events'
         WHERE e.received_at < now() - make_interval(days => least(of_all, shortest))
           AND e.received_at < now() - make_interval(days => coalesce(t.keep_days, of_all))
         LIMIT most FOR UPDATE OF e SKIP LOCKED));
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END $$;

-- The published workflows that count events of more than so many days, of one tenant.
CREATE FUNCTION counting_beyond(of_tenant uuid, days int, OUT key text, OUT window_days int) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT w.key, v.window_days FROM workflows w JOIN workflow_versions v USING (tenant_id, version_id)
     WHERE w.tenant_id = of_tenant AND w.state IN ('active', 'paused') AND v.window_days > days ORDER BY w.key
$$;

-- Days of all tenants are not lowered below what published workflows count, but for tenants with days of their own.
CREATE OR REPLACE FUNCTION retention_covers_windows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    short text;
BEGIN
    IF current_setting('automation.lower_retention', true) = 'confirmed' THEN
        RETURN NEW;
    END IF;
    SELECT string_agg(format('%s/%s (%sd)', n.key, c.key, c.window_days), ', ' ORDER BY n.key, c.key) INTO short
      FROM tenants n CROSS JOIN LATERAL counting_beyond(n.tenant_id, NEW.keep_days) c
     WHERE NOT EXISTS (SELECT FROM tenant_retention t WHERE t.tenant_id = n.tenant_id AND t.subject = 'events');
    IF short IS NOT NULL THEN
        RAISE EXCEPTION 'workflows count events of more than % days: %', NEW.keep_days, short
            USING HINT = 'SET automation.lower_retention = ''confirmed'' lowers it all the same: their figures become smaller.';
    END IF;
    RETURN NEW;
END $$;

-- Forgets approvals that were closed longer ago than their tenant keeps runs, a bounded number at a time; returns how many.
CREATE OR REPLACE FUNCTION approvals_expire(most int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    expired int;
    of_all int := (SELECT keep_days FROM retention WHERE table_name = 'runs_finished');
    shortest int := (SELECT min(keep_days) FROM tenant_retention WHERE subject = 'runs');
BEGIN
    DELETE FROM approvals WHERE ctid = ANY (ARRAY(
        SELECT a.ctid FROM approvals a LEFT JOIN tenant_retention t ON t.tenant_id = a.tenant_id AND t.subject = 'runs'
         WHERE a.closed_at < now() - make_interval(days => least(of_all, shortest))
           AND a.closed_at < now() - make_interval(days => coalesce(t.keep_days, of_all))
         LIMIT most FOR UPDATE OF a SKIP LOCKED));
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END $$;

REVOKE ALL ON FUNCTION keep_days, counting_beyond, tenant_history_expire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION counting_beyond TO automation_operator;
GRANT EXECUTE ON FUNCTION keep_days TO automation_api, automation_operator;
GRANT EXECUTE ON FUNCTION tenant_history_expire TO automation_scheduler;
