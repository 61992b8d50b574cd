-- For how many days back the conditions of a version count events; 0 where they count none.
ALTER TABLE workflow_versions ADD COLUMN window_days int NOT NULL DEFAULT 0;

-- Events are not kept for less time than published workflows count them, unless whoever lowers that says that it is meant so:
-- a sum that becomes smaller without a word misleads.
CREATE FUNCTION retention_covers_windows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    short text;
BEGIN
    IF current_setting('automation.lower_retention', true) = 'confirmed' THEN
        RETURN NEW;
    END IF;
    SELECT string_agg(format('%s/%s (%sd)', n.key, w.key, v.window_days), ', ' ORDER BY n.key, w.key) INTO short
      FROM workflows w
      JOIN workflow_versions v USING (tenant_id, version_id)
      JOIN tenants n USING (tenant_id)
     WHERE w.state <> 'archived' AND v.window_days > NEW.keep_days;
    IF short IS NOT NULL THEN
        RAISE EXCEPTION 'workflows count events of more than % days: %', NEW.keep_days, short
            USING HINT = 'SET automation.lower_retention = ''confirmed'' lowers it all the same: their figures become smaller.';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION retention_covers_windows FROM PUBLIC;

CREATE TRIGGER retention_covers_windows BEFORE UPDATE OF keep_days ON retention FOR EACH ROW
    WHEN (NEW.table_name = 'events' AND NEW.keep_days < OLD.keep_days) EXECUTE FUNCTION retention_covers_windows();
