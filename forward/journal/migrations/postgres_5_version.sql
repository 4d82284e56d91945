UPDATE {schema}.schema_versions v SET version = 5, migrated_at = pg_catalog.clock_timestamp() WHERE v.component = 'journal' AND v.version < 5;
-- Programs before version 5 need tables that are not made here. The row is missing in a fresh
-- journal, in a dump of the schema alone, and where all tables were emptied.
INSERT INTO {schema}.schema_versions (component, version, oldest)
VALUES ('journal', 5, CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = {name} AND c.relname = 'audit_events' AND c.relkind <> 'v') THEN 1 ELSE 5 END)
ON CONFLICT (component) DO NOTHING;
