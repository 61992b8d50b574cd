-- Whether a version lets one run of a key in at a time, as its publisher read its entry rules: what a replay asks. Null:
-- published by a version before this one, after this was applied; it is taken for one that does.
ALTER TABLE workflow_versions ADD COLUMN is_exclusive boolean;
UPDATE workflow_versions
   SET is_exclusive = coalesce(definition #>> '{enrolment,on_conflict}' = 'ignore', false)
                   OR coalesce(definition #>> '{enrolment,reentry,mode}' = 'after_exit', false);
