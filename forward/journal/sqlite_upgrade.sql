-- From version 1, whose tables had rowids.
ALTER TABLE main.{prefix}failures RENAME TO {prefix}failures_1;
ALTER TABLE main.{prefix}settled RENAME TO {prefix}settled_1;
ALTER TABLE main.{prefix}workers RENAME TO {prefix}workers_1;

{relay}
INSERT INTO main.{prefix}failures SELECT * FROM main.{prefix}failures_1;
DROP TABLE main.{prefix}failures_1;
INSERT INTO main.{prefix}settled SELECT * FROM main.{prefix}settled_1;
DROP TABLE main.{prefix}settled_1;
INSERT INTO main.{prefix}workers SELECT * FROM main.{prefix}workers_1;
DROP TABLE main.{prefix}workers_1;
