-- Retention counts from a run's end, not from its start, and takes its locks for moments only.

-- Runs are inserted in the order of their ends: a few pages tell where the late ones are.
CREATE INDEX ON runs_finished USING brin (finished_at) WITH (pages_per_range = 16);

-- What a day of a table still has to keep when it is retired, as a query over its keys. It starts from the few runs that
-- are as old as the day, never from the day's rows: open runs, and runs that ended late and were moved aside.
CREATE FUNCTION kept_of_day(table_name text, child text, low uuid, high uuid, keep_days int) RETURNS text
    LANGUAGE sql STABLE SET search_path = public, pg_temp
    RETURN CASE
        WHEN table_name = 'runs_finished' THEN
            format('SELECT p.tenant_id, p.run_id AS id FROM %I p WHERE p.finished_at >= now() - make_interval(days => %s)',
                   child, keep_days)
        WHEN table_name = 'events' THEN
            format('SELECT DISTINCT o.tenant_id, o.event_id AS id FROM (
                        SELECT tenant_id, event_id FROM runs_open UNION ALL
                        SELECT tenant_id, event_id FROM runs_finished_default) o
                     WHERE o.event_id >= %L AND o.event_id < %L', low, high)
        ELSE
            format('SELECT DISTINCT o.tenant_id, o.run_id AS id FROM (
                        SELECT tenant_id, run_id FROM runs_open UNION ALL
                        SELECT tenant_id, run_id FROM runs_finished_default) o
                     WHERE o.run_id >= %L AND o.run_id < %L', low, high)
        END;

-- Retires the oldest partition that is past its retention: what has to be kept moves to the default partition, the rest is
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
      FROM retention r
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
-- long enough ago, what belongs to runs when neither an open one nor one that is kept needs it. Returns how many
-- partitions it dropped.
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
            EXECUTE format('DELETE FROM runs_finished_default WHERE finished_at < now() - make_interval(days => %s)',
                           part.keep_days);
        ELSE
            EXECUTE format('DELETE FROM %1$I_default p WHERE p.%2$I < %3$L
                               AND NOT EXISTS (SELECT 1 FROM runs_open o
                                                WHERE o.tenant_id = p.tenant_id AND o.%2$I = p.%2$I)
                               AND NOT EXISTS (SELECT 1 FROM runs_finished_default o
                                                WHERE o.tenant_id = p.tenant_id AND o.%2$I = p.%2$I)',
                           part.table_name, part.key_column, lower_bound_id(current_date - part.keep_days));
        END IF;
    END LOOP;
    RETURN dropped;
END $$;

DROP FUNCTION belongs_to_open_run;

-- Making a day ahead waits for readers of the default partition, and others for it: not for long.
ALTER FUNCTION partitions_ensure(int) SET lock_timeout = '500ms';
