-- What makes the engine visible: the trace of a run, and how far behind the fleet is, as metrics.

-- The trace that a run belongs to, only where it is sampled: 16 bytes trace id, 8 the span that started the run, 8 the
-- run's own span. No index: nothing looks for it. No CHECK either: that would read every run under a lock that stops all.
ALTER TABLE runs_open ADD COLUMN trace bytea;
ALTER TABLE runs_finished ADD COLUMN trace bytea;

-- How long the oldest event has waited to leave.
ALTER TABLE outbox ADD COLUMN queued_at timestamptz NOT NULL DEFAULT now();

-- Schedulers publish these numbers as metrics, and see none of the rows. No count goes beyond `most`.
CREATE FUNCTION fleet_backlog(most bigint, OUT wakeups bigint, OUT wakeups_since timestamptz, OUT outbox bigint,
                              OUT outbox_since timestamptz, OUT parked bigint, OUT parked_since timestamptz,
                              OUT dead_letters bigint, OUT dead_letters_since timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT (SELECT count(*) FROM (SELECT FROM wakeups WHERE due_at <= now() LIMIT most) o),
           (SELECT min(due_at) FROM wakeups WHERE due_at <= now()),
           (SELECT count(*) FROM (SELECT FROM outbox LIMIT most) o),
           (SELECT queued_at FROM outbox ORDER BY outbox_id LIMIT 1),
           (SELECT count(*) FROM (SELECT FROM parked_events WHERE status = 'open' LIMIT most) o),
           (SELECT min(first_seen_at) FROM parked_events WHERE status = 'open'),
           (SELECT count(*) FROM (SELECT FROM dead_letters WHERE status = 'open' LIMIT most) o),
           (SELECT min(died_at) FROM dead_letters WHERE status = 'open')
$$;
REVOKE ALL ON FUNCTION fleet_backlog FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fleet_backlog TO automation_scheduler;
