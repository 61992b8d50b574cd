-- The database `automation`, for psql, after roles.sql and as superuser; running it again changes nothing.

-- CREATE DATABASE cannot stand in a DO block.
SELECT 'CREATE DATABASE automation OWNER automation_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'automation')
\gexec

REVOKE ALL ON DATABASE automation FROM PUBLIC;
GRANT CONNECT ON DATABASE automation
    TO automation_owner, automation_api, automation_worker, automation_batch, automation_door, automation_scheduler,
       automation_operator, automation;

\connect automation

-- Only the owner creates objects (the default from Postgres 15 on; said aloud for older ones).
ALTER SCHEMA public OWNER TO automation_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public
    TO automation_api, automation_worker, automation_batch, automation_door, automation_scheduler, automation_operator,
       automation;
