-- A tenant is its id and its key: rows refer to the one, events and broker users to the other. Neither is ever another's.

CREATE FUNCTION tenants_keep_their_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the id and the key of a tenant cannot be changed' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER identity BEFORE UPDATE OF tenant_id, key, created_at ON tenants FOR EACH ROW
    WHEN ((OLD.tenant_id, OLD.key, OLD.created_at) IS DISTINCT FROM (NEW.tenant_id, NEW.key, NEW.created_at))
    EXECUTE FUNCTION tenants_keep_their_identity();

-- What each role changes of a tenant, and no more: publishing, granting and pausing move the version of its catalogue; a
-- person may rename it.
REVOKE UPDATE ON tenants FROM automation_api, automation_operator;
GRANT UPDATE (catalogue_version) ON tenants TO automation_api;
GRANT UPDATE (name, catalogue_version) ON tenants TO automation_operator;
