-- Step 2: which tables were captured, in the frame of package pgschema.
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'audit_captures') THEN
		-- Each step of a plan notes what it has captured. Where a note differs from the one before it, the
		-- chain of changes may be broken.
		CREATE TABLE {schema}.audit_captures (
			table_id    bigint NOT NULL, -- stays the same when the table is renamed or restored
			noted_at    timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			lsn         pg_lsn NOT NULL DEFAULT pg_catalog.pg_current_wal_insert_lsn(),
			place       text NOT NULL,   -- where OIDs mean the same: the cluster, the database and this table
			table_oid   bigint NOT NULL,
			schema_name text NOT NULL,
			table_name  text NOT NULL,
			shape_id    bigint,          -- NULL: the capture was removed
			partitions  json NOT NULL,
			resumed     boolean NOT NULL, -- triggers were missing or disabled
			PRIMARY KEY (table_id, lsn, noted_at)
		);
		CREATE INDEX audit_captures_name ON {schema}.audit_captures (table_name);
	END IF;
END;
