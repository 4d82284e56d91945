-- Step 1: the tables of row changes, in the frame of package pgschema.
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'audit_changes') THEN
		-- How a captured table was made when its capture was planned. The id is a digest of the rest, so
		-- that all who plan the same find the same.
		CREATE TABLE {schema}.audit_shapes (
			id       bigint PRIMARY KEY,
			table_id bigint NOT NULL, -- a digest of the table's schema and name
			shape    json NOT NULL,
			made_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			made_by  text NOT NULL DEFAULT session_user
		);
		-- One row is one change of one row, or a TRUNCATE.
		CREATE TABLE {schema}.audit_changes (
			xid           xid8 NOT NULL,
			tx_started_at timestamptz NOT NULL,
			captured_at   timestamptz NOT NULL,
			lsn           pg_lsn NOT NULL, -- where the WAL was: the order of conflicting changes of one cluster
			table_id      bigint NOT NULL,
			shape_id      bigint,   -- NULL: the table had changed, and columns says how it was
			depth         smallint NOT NULL, -- of nested triggers; 1: a statement of the app's
			op            "char" NOT NULL, -- I, U, D, T
			old_tid       tid,
			new_tid       tid,
			key           text COLLATE "C", -- the key as the text of a row, after the change
			former_key    text COLLATE "C", -- and before, where it is another
			changed       text COLLATE "C", -- which columns of the shape an update has changed, by number
			old_row       text COLLATE "C", -- as the text of a row, in an update only what has changed
			new_row       text COLLATE "C",
			cut           text COLLATE "C", -- which values are only their length and digest: o3 n3
			columns       json,
			-- With the first change of a transaction: in which cluster, and who wrote.
			system        bigint,
			role          text,
			application   text,
			client        inet,
			-- Within a transaction each change is at a later place in the WAL. A restored database
			-- counts both anew, but its clock goes on. Without a key, a publication FOR ALL
			-- TABLES would refuse to delete.
			PRIMARY KEY (xid, lsn, captured_at)
		){partitioned};
{default}{indexes}		CREATE INDEX audit_changes_keyless ON {schema}.audit_changes (table_id, lsn) WHERE key IS NULL;
		-- What a trigger could not keep, so that the history has a hole there.
		CREATE TABLE {schema}.audit_gaps (
			xid           xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
			tx_started_at timestamptz NOT NULL DEFAULT pg_catalog.transaction_timestamp(),
			captured_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			lsn           pg_lsn NOT NULL DEFAULT pg_catalog.pg_current_wal_insert_lsn(),
			table_id      bigint NOT NULL,
			op            text NOT NULL,
			reason        text NOT NULL,
			PRIMARY KEY (xid, lsn, captured_at)
		);
	END IF;
END;
