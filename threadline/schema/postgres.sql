-- The timeline store of threadline, for PostgreSQL 13 or newer. It may be run
-- again: what exists stays. Store.Migrate sends these very statements.
-- Run it as the role that shall own the timeline, then let the app write with
--   GRANT USAGE ON SCHEMA "threadline" TO app;
--   GRANT EXECUTE ON FUNCTION "threadline".record(json) TO app;
-- and readers read with
--   GRANT USAGE ON SCHEMA "threadline" TO reader;
--   GRANT SELECT ON "threadline".audit_actions TO reader;

SET LOCAL search_path = pg_catalog, pg_temp;
-- Another process that migrates is worth waiting for; a lock that the app holds
-- is not, since the app's own statements queue behind a session that waits for it.
SET LOCAL lock_timeout = '15s';
SELECT pg_advisory_xact_lock(hashtextextended('threadline', 7355608));
SET LOCAL lock_timeout = '2s';

