-- Every role may see how far the migrations are: a process checks at its start that its schema is there.
-- The table is made by the migration tool itself, before the first migration.

GRANT SELECT ON _sqlx_migrations TO automation_api, automation_worker, automation_scheduler, automation_operator;
