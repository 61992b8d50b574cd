-- Nothing writes to this table, and its foreign key cost a look-up per finished run.
DROP TABLE waits;
