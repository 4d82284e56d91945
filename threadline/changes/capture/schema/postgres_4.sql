-- Step 4: what says that the histories are copies, in the frame of package pgschema.
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'audit_copies') THEN
		-- Where the changes were captured that a forwarder has copied here. It has no rows where they were captured
		-- themselves.
		CREATE TABLE {schema}.audit_copies (
			place     text PRIMARY KEY, -- as in audit_captures
			shapes    bigint NOT NULL,  -- digests of those that were there, and have come
			notes     bigint NOT NULL,
			seen      text NOT NULL,    -- the pg_snapshot there up to which gaps have come
			copied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
		);
		-- Transactions of copied changes that had no events in the journal there, and how certain that is.
		CREATE TABLE {schema}.audit_eventless (
			xid           xid8 NOT NULL,
			tx_started_at timestamptz NOT NULL,
			state         text NOT NULL,
			PRIMARY KEY (xid, tx_started_at)
		);
	END IF;
END;
