-- Step 5 on PostgreSQL: the journal keeps a row for each flush. It only adds, so that
-- programs of versions 1 to 4 go on with their own tables and functions beside it.
	IF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'audit_events' AND c.relkind <> 'v')
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = {name} AND p.proname = 'record') THEN
		RAISE EXCEPTION 'aftercommit: a table audit_events that is not aftercommit''s is in schema %: rename it, or give the journal another schema by Options.Schema', {name}
			USING ERRCODE = 'AC001';
	END IF;
	IF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'journal')
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = {name} AND p.proname = 'write') THEN
		RAISE EXCEPTION 'aftercommit: a table journal that is not aftercommit''s is in schema %: rename it, or give the journal another schema by Options.Schema', {name}
			USING ERRCODE = 'AC001';
	END IF;

	IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'schema_versions') THEN
		CREATE TABLE {schema}.schema_versions (
			component   text PRIMARY KEY,
			version     integer NOT NULL,
			-- The version of the oldest program that works with these tables, so that
			-- programs of both versions can run while one replaces the other.
			oldest      integer NOT NULL DEFAULT 1,
			migrated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
		);
	END IF;
	IF EXISTS (SELECT FROM {schema}.schema_versions v WHERE v.component = 'journal' AND v.version > 6) THEN
		RAISE EXCEPTION 'aftercommit: the journal in schema % is of a newer version: build the program that this is from with that one', {name}
			USING ERRCODE = 'AC001';
	END IF;

	IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'journal') THEN
		-- Each row is what one flush has written.
		CREATE TABLE {schema}.journal (
			key           uuid PRIMARY KEY, -- made by the client, in the order of its flushes
			xid           xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
			tx_started_at timestamptz NOT NULL DEFAULT pg_catalog.transaction_timestamp(),
			recorded_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			role          text NOT NULL,
			events        integer NOT NULL CHECK (events OPERATOR(pg_catalog.>=) 0 AND events OPERATOR(pg_catalog.<=) 1000), -- in the document; 0 is a tombstone, see claim
			format        smallint NOT NULL, -- of the documents
			document      text,
			personal      text -- the fields of persons, which can be erased
		);
		CREATE INDEX journal_xid_key ON {schema}.journal (xid, key);
		BEGIN
			EXECUTE 'ALTER TABLE {schema}.journal ALTER COLUMN document SET COMPRESSION lz4, ALTER COLUMN personal SET COMPRESSION lz4';
		EXCEPTION WHEN syntax_error OR feature_not_supported THEN
			NULL; -- PostgreSQL 13, or a server that was built without it
		END;

		-- What package relay keeps: how far each forwarder is, what it refused, and who
		-- works.
		CREATE TABLE {schema}.cursors (
			name          text PRIMARY KEY,
			registered_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			retired_at    timestamptz,
			-- The lease. fence grows with each new holder; a holder that was overtaken
			-- moves nothing any more.
			holder        text,
			lease_until   timestamptz,
			fence         bigint NOT NULL DEFAULT 0,
			-- The cursor. What is visible in done is settled. What is visible in tick
			-- and not in done is being delivered, in the order (xid, key, ordinal):
			-- it is settled up to and including (at_xid, at_key, at_ordinal).
			done          pg_snapshot NOT NULL DEFAULT pg_catalog.pg_current_snapshot(),
			tick          pg_snapshot,
			at_xid        xid8,
			at_key        uuid,
			at_ordinal    integer,
			moved_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			-- Where the cursor belongs; snapshots mean nothing in a copy.
			place         text NOT NULL,
			-- safe_at: everything recorded before it is settled, even in a copy of the
			-- database (with a margin). It is derived from a mark: mark_xid was given to a
			-- transaction at or after mark_at. A transaction with a later xid records after
			-- mark_at. So once all xids below mark_xid are over and settled, everything
			-- recorded before mark_at is settled: safe_at becomes mark_at, and a new mark
			-- is set.
			safe_at       timestamptz NOT NULL DEFAULT '-infinity',
			mark_xid      xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
			mark_at       timestamptz NOT NULL DEFAULT pg_catalog.transaction_timestamp()
		);
		CREATE INDEX cursors_place ON {schema}.cursors (place COLLATE pg_catalog."C"); -- for enlist

		-- Entries that a forwarder did not take at first.
		CREATE TABLE {schema}.retries (
			forwarder text NOT NULL,
			key       uuid NOT NULL,
			ordinal   integer NOT NULL,
			event_id  uuid, -- for people
			state     text NOT NULL, -- retrying, discarded
			attempts  integer NOT NULL,
			next_at   timestamptz NOT NULL,
			reason    text NOT NULL,
			error     text NOT NULL,
			first_at  timestamptz NOT NULL,
			last_at   timestamptz NOT NULL,
			PRIMARY KEY (forwarder, key, ordinal)
		);
		CREATE INDEX retries_due ON {schema}.retries (forwarder, next_at, key, ordinal) WHERE state = 'retrying';

		-- What a forwarder has accepted without the relay, or gets from a queue, until its
		-- cursor passes.
		CREATE TABLE {schema}.acknowledged (
			forwarder text NOT NULL,
			key       uuid NOT NULL,
			ordinal   integer NOT NULL,
			PRIMARY KEY (forwarder, key, ordinal)
		);

		-- Who deleted from the journal, and what. It has no sequence, which logical
		-- replication would leave behind: after an upgrade of the server by it, the next
		-- numbers would be taken.
		CREATE TABLE {schema}.journal_purges (
			purged_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			purged_by text NOT NULL,
			before    timestamptz NOT NULL,
			events    bigint NOT NULL,
			first_key uuid NOT NULL,
			last_key  uuid NOT NULL,
			-- The transactions whose events they were, in order: without a list (NULL, of earlier
			-- programs) it is not known of a transaction that has no events here whether it had any.
			transactions bigint[],
			PRIMARY KEY (purged_at, first_key)
		);
		CREATE INDEX journal_purges_transactions ON {schema}.journal_purges
			USING gist (pg_catalog.int8range(transactions[1], transactions[pg_catalog.cardinality(transactions)], '[]')) WHERE transactions IS NOT NULL;
	END IF;

	-- Shared with earlier versions.
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'workers') THEN
		-- Processes that take leases, to share them out.
		CREATE TABLE {schema}.workers (
			name       text PRIMARY KEY,
			seen_at    timestamptz NOT NULL,
			-- What it has registered, as JSON; empty if there is nothing to compare.
			forwarders text
		);
	END IF;
	-- From version 2, where processes did not say what their forwarders are.
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = {name} AND c.relname = 'workers' AND a.attname = 'forwarders' AND NOT a.attisdropped) THEN
		ALTER TABLE {schema}.workers ADD COLUMN forwarders text;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'registrars') THEN
		-- A role's row has the forwarders that it has registered, and is locked while it
		-- registers one.
		CREATE TABLE {schema}.registrars (
			role       text PRIMARY KEY,
			forwarders text[] NOT NULL DEFAULT '{}'
		);
	END IF;
