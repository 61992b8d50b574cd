-- Whose clock counts for what a workflow says of times of day and dates, where a contact has no zone of its own. Read with the
-- tenant's catalogue version and with each claim, so knowing it costs no statement.
ALTER TABLE tenants ADD COLUMN timezone text NOT NULL DEFAULT 'UTC' CHECK (length(timezone) BETWEEN 1 AND 64); -- IANA name
GRANT UPDATE (timezone) ON tenants TO automation_operator;
