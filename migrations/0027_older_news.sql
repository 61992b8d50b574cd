-- What set each field and tag of a contact, and when: older news that arrives later changes nothing (docs/adr/0020).
-- No bytes are no stamps: what stands there was set before anything that comes. Without a value to compute, no row is
-- written anew. Read and written by domain/src/record/stamps/bytes.rs, which says the form.
ALTER TABLE contacts ADD COLUMN set_by bytea NOT NULL DEFAULT '';
