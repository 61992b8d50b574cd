-- A publisher's grant may end by itself. Ingest judges by the database's clock: from then on events are parked.
ALTER TABLE publisher_grants ADD COLUMN expires_at timestamptz;

-- Keys may be given more time.
GRANT UPDATE (expires_at) ON api_keys TO automation_api;

-- What operators have to know of publishers whose time is over, or is soon: whose, and when. The end of a key stands with
-- the key, since the door asks it there.
CREATE FUNCTION ending_publishers(before timestamptz, most bigint, OUT tenant_key text, OUT publisher text, OUT expires_at timestamptz)
    RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.key, e.publisher, e.expires_at
      FROM (SELECT g.tenant_id, g.amqp_user AS publisher, g.expires_at FROM publisher_grants g WHERE g.expires_at <= before
            UNION ALL
            SELECT k.tenant_id, 'apikey:' || k.name, k.expires_at FROM api_keys k
             WHERE k.expires_at <= before AND k.revoked_at IS NULL) e
      JOIN tenants t ON t.tenant_id = e.tenant_id
     ORDER BY e.expires_at, t.key, e.publisher LIMIT most
$$;
REVOKE ALL ON FUNCTION ending_publishers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ending_publishers TO automation_operator;

-- Of refused events those count that nobody has handled.
CREATE OR REPLACE FUNCTION fleet_lag(most bigint, OUT overdue_since timestamptz, OUT overdue bigint, OUT outbox bigint,
                                     OUT parked bigint) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT (SELECT min(due_at) FROM wakeups WHERE due_at <= now()),
           (SELECT count(*) FROM (SELECT FROM wakeups WHERE due_at <= now() LIMIT most) o),
           (SELECT count(*) FROM (SELECT FROM outbox LIMIT most) o),
           (SELECT count(*) FROM (SELECT FROM parked_events
                                   WHERE last_seen_at > now() - interval '1 day' AND status = 'open' LIMIT most) o)
$$;
