-- Nothing writes to this table, and its foreign key cost a look-up per finished run. Executors lock runs first and, by that
-- key, this table after them: so does this.
LOCK TABLE runs_open IN ACCESS EXCLUSIVE MODE;
DROP TABLE waits;
