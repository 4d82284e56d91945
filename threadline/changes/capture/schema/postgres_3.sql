-- Step 3: the key of hashes, in the frame of package pgschema.
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'audit_keys') THEN
		-- The key as HMAC uses it (RFC 2104). A step that needs it makes it, so that a restore of the data
		-- alone finds none. No role but the owner has rights on it.
		CREATE TABLE {schema}.audit_keys (
			only_one  boolean PRIMARY KEY DEFAULT true CHECK (only_one),
			inner_pad bytea NOT NULL,
			outer_pad bytea NOT NULL
		);
	END IF;
END;
