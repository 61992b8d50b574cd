-- Operators ask how far behind the fleet is: since when what is owed has been due, and how much waits to leave. They see
-- these numbers, and none of the rows.
CREATE FUNCTION fleet_lag(most bigint, OUT overdue_since timestamptz, OUT overdue bigint, OUT outbox bigint,
                          OUT parked bigint) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT (SELECT min(due_at) FROM wakeups WHERE due_at <= now()),
           (SELECT count(*) FROM (SELECT FROM wakeups WHERE due_at <= now() LIMIT most) o),
           (SELECT count(*) FROM (SELECT FROM outbox LIMIT most) o),
           (SELECT count(*) FROM (SELECT FROM parked_events WHERE last_seen_at > now() - interval '1 day' LIMIT most) o)
$$;
REVOKE ALL ON FUNCTION fleet_lag FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet_lag TO automation_operator;
