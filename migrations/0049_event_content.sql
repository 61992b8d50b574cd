-- What conditions read of past events stands with them, so that a figure over them takes one look at one place.

-- Values by their path (`{"event.data.total": 19.99}`), under the empty name the paths of those that are too long to be kept.
-- Null where no version reads any.
ALTER TABLE contact_events ADD COLUMN content jsonb;

-- The paths that some version reads of events of the type, each with from when on `content` has it.
ALTER TABLE watched_types ADD COLUMN paths jsonb NOT NULL DEFAULT '{}';

GRANT UPDATE (content) ON contact_events TO automation_api;
GRANT UPDATE (paths) ON watched_types TO automation_api;
GRANT SELECT ON retention TO automation_api;

-- The member of an object by its name, or of a list by its number as numbers are written, step by step.
CREATE FUNCTION value_at(value jsonb, path text[]) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = public, pg_temp AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY path LOOP
        value := CASE jsonb_typeof(value)
                     WHEN 'object' THEN value -> name
                     WHEN 'array' THEN CASE WHEN name ~ '^(0|[1-9][0-9]{0,8})$' THEN value -> name::int END
                 END;
        IF value IS NULL THEN
            RETURN NULL;
        END IF;
    END LOOP;
    RETURN nullif(value, 'null'::jsonb);
END $$;

-- What is kept of an event: `paths` is an array of {path, root, below}. As `Values::of` of the domain has it; the domain leaves
-- out what is too long by its own measure when it reads.
CREATE FUNCTION event_content(id text, source text, data jsonb, paths jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = public, pg_temp AS $$
    SELECT nullif(coalesce(jsonb_object_agg(path, value) FILTER (WHERE octet_length(value::text) <= 2048), '{}')
                  || CASE WHEN bool_or(octet_length(value::text) > 2048)
                          THEN jsonb_build_object('', jsonb_agg(path) FILTER (WHERE octet_length(value::text) > 2048))
                          ELSE '{}' END, '{}')
      FROM (SELECT p ->> 'path' AS path,
                   CASE p ->> 'root' WHEN 'data' THEN value_at(data, ARRAY(SELECT jsonb_array_elements_text(p -> 'below')))
                                     WHEN 'id' THEN to_jsonb(id)
                                     WHEN 'source' THEN to_jsonb(source) END AS value
              FROM jsonb_array_elements(paths) AS p) AS found
     WHERE value IS NOT NULL
$$;
