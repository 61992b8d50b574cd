-- The oldest of what a person should look at, which the backlog's metrics ask for every few seconds. Not CONCURRENTLY: that
-- waits for whoever else migrates at the same time, who waits for this one. Both tables hold failures, and are small.
CREATE INDEX ON dead_letters (died_at) WHERE status = 'open';
CREATE INDEX ON parked_events (first_seen_at) WHERE status = 'open';
