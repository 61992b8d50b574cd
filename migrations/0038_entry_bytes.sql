-- About how many bytes ingest keeps of a version in memory to decide about events, as its publisher reckoned: what a tenant's
-- published workflows take together has a bound, which publishing keeps. 0: published by a version before this one.
ALTER TABLE workflow_versions ADD COLUMN entry_bytes bigint NOT NULL DEFAULT 0 CHECK (entry_bytes >= 0);
