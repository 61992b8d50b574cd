-- When the latest runs of a key began, as many as a rule over them counts; empty for workflows without such a rule. Kept as long as the
-- row, which no retention of runs touches.
ALTER TABLE enrolments
    ADD COLUMN starts timestamptz[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT enrolments_starts_check CHECK (cardinality(starts) <= 100) NOT VALID;
