-- Step 5: which changes were deleted, in the frame of package pgschema.
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'audit_purges') THEN
		CREATE TABLE {schema}.audit_purges (
			table_id bigint NOT NULL,
			began_at timestamptz NOT NULL, -- of the run
			by       text NOT NULL,
			keeper   text NOT NULL,        -- the database that has them
			changes  bigint NOT NULL,      -- how many they were, and when they were captured
			first_at timestamptz NOT NULL,
			last_at  timestamptz NOT NULL,
			PRIMARY KEY (table_id, began_at)
		);
	END IF;
END;
