-- The database roles. Run once per cluster, as superuser, before the migrations; running it again changes nothing.
-- Roles belong to the whole cluster, so they cannot be part of a migration: databases migrated at the same time
-- would race for them. Passwords are set apart, by whoever owns the secrets: until then nobody can log in.
--
--   automation_owner      owns the database and the schema; runs migrations; never serves
--   automation_api        one tenant per transaction
--   automation_worker     ingest and executor: the tenants of one batch
--   automation_batch      one tenant per transaction, to read its contacts, events, runs and workflows through
--   automation_door       what faces the internet: a few functions, and no table
--   automation_scheduler  all tenants, but only wakeups, outbox and schedules
--   automation_operator   a person at the command line; may SET ROLE automation_api
--   automation            the all-in-one process; inherits nothing and picks a role per transaction with SET ROLE
--
-- None is superuser and none bypasses row-level security.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'automation_owner', 'automation_api', 'automation_worker', 'automation_batch', 'automation_door',
        'automation_scheduler', 'automation_operator', 'automation'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
    END LOOP;
END
$$;

-- Repeated on every run, so a role that existed before has the right attributes too.
ALTER ROLE automation_owner     LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE automation_api       LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE automation_worker    LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE automation_batch     LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE automation_door      LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE automation_scheduler LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE automation_operator  LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE automation           LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT;

-- Granting a membership that exists only raises a notice.
SET client_min_messages = warning;
GRANT automation_api TO automation_operator;
GRANT automation_api, automation_worker, automation_batch, automation_door, automation_scheduler TO automation;
