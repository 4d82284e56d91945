UPDATE {schema}.schema_versions v SET version = 5, migrated_at = pg_catalog.clock_timestamp() WHERE v.component = 'journal' AND v.version < 5;
INSERT INTO {schema}.schema_versions (component, version) VALUES ('journal', 5) ON CONFLICT (component) DO NOTHING;
