-- Partitions by day over time-ordered ids, made ahead and retired by functions that the scheduler may call.
-- A default partition catches what no day covers (the scheduler was away; a run that outlives its day), so that a
-- missing partition is never an outage.

CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE TABLE runs_finished_default PARTITION OF runs_finished DEFAULT;
CREATE TABLE workflow_run_logs_default PARTITION OF workflow_run_logs DEFAULT;

-- The smallest id of a moment: 48 bits of milliseconds in front.
CREATE FUNCTION lower_bound_id(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- Which tables are partitioned, and for how many days their partitions are kept.
CREATE TABLE retention (
    table_name text PRIMARY KEY,
    key_column text NOT NULL,
    keep_days  int NOT NULL CHECK (keep_days >= 8) -- longer than the dedupe window
);
INSERT INTO retention VALUES ('events', 'event_id', 30), ('runs_finished', 'run_id', 30),
                             ('workflow_run_logs', 'run_id', 30);

-- Makes the partitions of today and of `ahead` days after it; returns how many it made.
CREATE FUNCTION partitions_ensure(ahead int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    part record;
    child text;
    made int := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('automation.partitions')) THEN
        RETURN 0; -- another scheduler is at it
    END IF;
    FOR part IN
        SELECT r.table_name, r.key_column, d::date AS day, lower_bound_id(d) AS low,
               lower_bound_id(d + interval '1 day') AS high
          FROM retention r,
               generate_series(date_trunc('day', now()), date_trunc('day', now()) + make_interval(days => ahead),
                               interval '1 day') d
         ORDER BY r.table_name, d
    LOOP
        child := format('%s_%s', part.table_name, to_char(part.day, 'YYYYMMDD'));
        CONTINUE WHEN to_regclass(child) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, part.table_name);
        -- Rows that came while the day had no partition move into it; the lock keeps more from coming meanwhile.
        EXECUTE format('LOCK TABLE %I_default IN ACCESS EXCLUSIVE MODE', part.table_name);
        EXECUTE format('WITH moved AS (DELETE FROM %1$I_default WHERE %2$I >= %3$L AND %2$I < %4$L RETURNING *)
                        INSERT INTO %5$I SELECT * FROM moved',
                       part.table_name, part.key_column, part.low, part.high, child);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       part.table_name, child, part.low, part.high);
        EXECUTE format('ANALYZE %I', child);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- The condition under which a row `p` of a partitioned table still belongs to an open run.
CREATE FUNCTION belongs_to_open_run(table_name text) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN CASE table_name
        WHEN 'events' THEN 'EXISTS (SELECT 1 FROM runs_open o WHERE (o.tenant_id, o.event_id) = (p.tenant_id, p.event_id))'
        WHEN 'workflow_run_logs' THEN 'EXISTS (SELECT 1 FROM runs_open o WHERE (o.tenant_id, o.run_id) = (p.tenant_id, p.run_id))'
        ELSE 'false' END;

-- Retires the oldest partition that is past its retention: what still belongs to open runs moves to the default
-- partition, the rest is detached, to be dropped by partitions_drop(). Returns its name, or null when none is due.
-- Fails with lock_timeout when the table is busy; the caller tries again later.
CREATE FUNCTION partitions_retire() RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '50ms' AS $$
DECLARE
    part record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('automation.partitions')) THEN
        RETURN NULL;
    END IF;
    SELECT r.table_name, r.key_column, c.relname AS child INTO part
      FROM retention r
      JOIN pg_inherits i ON i.inhparent = r.table_name::regclass
      JOIN pg_class c ON c.oid = i.inhrelid
     WHERE c.relname ~ '_\d{8}$'
       AND to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - r.keep_days
     ORDER BY right(c.relname, 8), r.table_name LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', part.table_name);
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', part.table_name, part.child);
    EXECUTE format('INSERT INTO %I SELECT * FROM %I p WHERE %s', part.table_name, part.child,
                   belongs_to_open_run(part.table_name));
    RETURN part.child;
END $$;

-- Drops detached partitions, in a transaction of its own, and forgets rows of the default partitions that are past
-- their retention and belong to no open run any more; returns how many partitions it dropped.
CREATE FUNCTION partitions_drop() RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    child text;
    part record;
    dropped int := 0;
BEGIN
    FOR child IN
        SELECT c.relname FROM pg_class c JOIN retention r ON c.relname ~ ('^' || r.table_name || '_\d{8}$')
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
    LOOP
        EXECUTE format('DROP TABLE %I', child);
        dropped := dropped + 1;
    END LOOP;
    FOR part IN SELECT * FROM retention LOOP
        EXECUTE format('DELETE FROM %I_default p WHERE %I < %L AND NOT %s', part.table_name, part.key_column,
                       lower_bound_id(current_date - part.keep_days), belongs_to_open_run(part.table_name));
    END LOOP;
    RETURN dropped;
END $$;

-- Days in a row, from today on, for which every table has its partition: what a health check asks.
CREATE FUNCTION partitions_ahead() RETURNS int LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
    SELECT coalesce(min(d) FILTER (WHERE missing), 30)::int FROM (
        SELECT d, bool_or(to_regclass(format('%s_%s', r.table_name, to_char(current_date + d, 'YYYYMMDD'))) IS NULL) AS missing
          FROM generate_series(0, 29) d, retention r GROUP BY d) days
$$;

-- Forgets receipts older than the dedupe window, a bounded number at a time; returns how many.
CREATE FUNCTION receipts_expire(keep interval, most int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    expired int;
BEGIN
    IF keep < interval '7 days' THEN
        RAISE EXCEPTION 'receipts are kept for 7 days at least, not %', keep;
    END IF;
    DELETE FROM event_receipts WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM event_receipts WHERE received_at < now() - keep LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END $$;

REVOKE ALL ON FUNCTION partitions_ensure, partitions_retire, partitions_drop, partitions_ahead, receipts_expire FROM PUBLIC;
GRANT EXECUTE ON FUNCTION partitions_ensure, partitions_retire, partitions_drop, partitions_ahead, receipts_expire
    TO automation_scheduler;
GRANT EXECUTE ON FUNCTION partitions_ahead TO automation_operator;

SELECT partitions_ensure(3);
