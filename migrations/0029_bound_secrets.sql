-- What decides where and how a secret is used is encrypted with it: docs/adr/0021. So that a change without the secret is
-- refused at once, and not only found by whoever would have used it, the database asks for a new secret too.

CREATE FUNCTION credentials_keep_their_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'where and how a credential is sent changes with its secret alone' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER terms BEFORE UPDATE OF kind, fields, allowed_hosts ON credentials FOR EACH ROW
    WHEN ((OLD.kind, OLD.fields, OLD.allowed_hosts) IS DISTINCT FROM (NEW.kind, NEW.fields, NEW.allowed_hosts)
          AND (OLD.ciphertext = NEW.ciphertext OR OLD.wrapped_key = NEW.wrapped_key))
    EXECUTE FUNCTION credentials_keep_their_terms();

-- A secret of a webhook that is to end cannot be made to last.
CREATE FUNCTION hook_secrets_only_end_sooner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the secret of a webhook may end sooner, and not later' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER ends BEFORE UPDATE OF expires_at ON hook_secrets FOR EACH ROW
    WHEN (OLD.expires_at IS NOT NULL AND (NEW.expires_at IS NULL OR NEW.expires_at > OLD.expires_at))
    EXECUTE FUNCTION hook_secrets_only_end_sooner();

-- Whoever replaces a secret checks by the wrapped data key that nobody changed the terms it is sealed for anew. Without the
-- encrypted secret, which stays out of reach, it opens nothing.
GRANT SELECT (wrapped_key) ON credentials, hook_secrets TO automation_api;
-- What was sealed without its terms is sealed anew by `credential rekey`.
GRANT UPDATE (ciphertext) ON credentials, hook_secrets TO automation_worker;
GRANT SELECT (name, verification, headers, id_header) ON hooks TO automation_worker;
