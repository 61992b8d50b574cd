-- What came for a contact is found by the contact's bucket: docs/adr/0013.
--
-- Executors write notes and then tasks; both are taken here first, in that order.
LOCK TABLE notes, tasks IN ACCESS EXCLUSIVE MODE;

-- One of 4,096, from the last twelve bits of the id, which is a hash. Rows store it: it must never change.
CREATE FUNCTION contact_bucket(contact_id uuid) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((get_byte(uuid_send(contact_id), 14) & 15) << 8) | get_byte(uuid_send(contact_id), 15))::smallint;

-- A column, and not an index over the expression: with row-level security, only comparisons that leak nothing reach an index.
DROP INDEX notes_tenant_id_contact_id_note_id_idx;
ALTER TABLE notes ADD COLUMN contact_bucket smallint GENERATED ALWAYS AS (contact_bucket(contact_id)) STORED;
CREATE INDEX ON notes (contact_bucket, note_id, contact_id);

DROP INDEX tasks_tenant_id_contact_id_task_id_idx;
ALTER TABLE tasks ADD COLUMN contact_bucket smallint GENERATED ALWAYS AS (contact_bucket(contact_id)) STORED;
CREATE INDEX ON tasks (contact_bucket, task_id, contact_id) WHERE contact_id IS NOT NULL;

ANALYZE notes, tasks;
