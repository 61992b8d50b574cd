-- Nothing reads events by contact, and each event was written to a page of its contact's: docs/adr/0013.
DROP INDEX events_tenant_id_contact_id_event_id_idx;
