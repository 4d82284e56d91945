-- The functions of step 5. Run on older ones they replace them.

-- write keeps what one flush has recorded, in the calling transaction. It returns no
-- row, and writes nothing, if the transaction has no xid yet, or is read-only and has
-- written to nothing that is kept, because a transaction that wrote nothing must
-- not be made a writing one; own overrides that. It fails with 25X06 if the
-- transaction has written and was made read-only since, and with 23505 if there is a row
-- with the key: that is how claim keeps a flush from being written later. It fails with 09000 if
-- something of the operator's suppresses the row: what comes behind it in one message, such as a
-- COMMIT, must not be executed then.
--
-- Roles that may execute it write what all readers and forwarders see. The documents are
-- not decoded here: one that cannot be read is an unreadable entry, and harms no reader.
-- They must be ASCII, which reaches every reader whatever the encodings of server and
-- session.
--
-- The SET of lock_timeout also confines the set_config inside to this call.
CREATE OR REPLACE FUNCTION {schema}.write(key uuid, events integer, format smallint, document text, personal text, own boolean, wait_ms integer)
RETURNS TABLE (xid text, tx_started_at timestamptz, recorded_at timestamptz, role text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $write$
BEGIN
	IF (strpos('08', substr(key::text, 15, 1)) = 0 AND events BETWEEN 1 AND 1000 AND format >= 1 AND octet_length(document) <= 16777216 AND own IS NOT NULL AND wait_ms >= 1) IS NOT TRUE
		OR octet_length(personal) > 16777216 THEN
		RAISE EXCEPTION 'aftercommit: write takes a key, which is a UUID of another version than 0 and 8, the number of events, from 1 to 1000, the format of the documents, one or two of these of at most 16 MiB, whether the transaction is its own, and for how many milliseconds to wait, at least 1'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	-- to_ascii replaces every byte above 127, whatever the server's encoding is, and no other;
	-- to count the characters takes ten times as long.
	IF document <> to_ascii(document, 'LATIN1') OR personal <> to_ascii(personal, 'LATIN1') THEN
		RAISE EXCEPTION 'aftercommit: the documents must be ASCII: JSON has escapes for all other characters'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF NOT own THEN
		IF pg_current_xact_id_if_assigned() IS NULL THEN
			RETURN;
		END IF;
		IF current_setting('transaction_read_only') = 'on' THEN
			-- Writing to a temporary table takes an xid too. A transaction that has
			-- written to another table holds a lock on it.
			IF EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
					WHERE l.pid = pg_backend_pid() AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
					AND c.relpersistence <> 't' AND c.relkind <> 'S') THEN
				RAISE EXCEPTION USING ERRCODE = '25X06',
					MESSAGE = 'the transaction has written and is read-only now, so that its audit events cannot be written in it',
					HINT = 'Make it read-only before it writes, or not at all.';
			END IF;
			RETURN;
		END IF;
	END IF;
	IF wait_ms <> 5000 THEN
		PERFORM set_config('lock_timeout', wait_ms::text, true);
	END IF;
	-- current_user is the function's owner here; what the app has SET ROLE to,
	-- or logged in as, is not.
	RETURN QUERY INSERT INTO {schema}.journal AS j (key, role, events, format, document, personal)
	VALUES (write.key, CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END,
		write.events, write.format, write.document, write.personal)
	RETURNING j.xid::text, j.tx_started_at, j.recorded_at, j.role;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'aftercommit: the events were not written: a trigger on the table journal suppresses its rows'
			USING ERRCODE = 'triggered_action_exception';
	END IF;
END
$write$;

-- claim settles what became of flushes whose transaction has ended unseen, or may yet
-- begin: 'written' says that at least one of the keys is in the journal for good, 'never'
-- that none is and none will be, 'open' that this cannot be said yet. A lock that is free
-- would prove nothing, since what the client has sent may not have arrived. So a row
-- without events, a tombstone, takes the place of each key: when it is there, the flush can only
-- fail. Readers leave tombstones out.
--
-- Here and below, the planner's settings are not the caller's: in a SERIALIZABLE
-- transaction a sequential scan locks the whole table against the writes of all others.
-- Parameters and variables would have the collation of the call's arguments: an index serves
-- a comparison only in its own.
CREATE OR REPLACE FUNCTION {schema}.claim(keys uuid[], wait_ms integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
SET enable_seqscan = off SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_bitmapscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off
SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_index_tuple_cost = 0.005 SET cpu_operator_cost = 0.0025 SET jit = off
AS $claim$
DECLARE
	wanted uuid;
	there integer;
	answer text := 'never';
BEGIN
	-- The keys of rows from the tables of earlier versions can be guessed: they have version 8.
	IF (cardinality(keys) BETWEEN 1 AND 10000 AND wait_ms >= 1
		AND (SELECT bool_and(strpos('08', substr(k::text, 15, 1)) = 0) FROM unnest(keys) k)) IS NOT TRUE OR array_position(keys, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'aftercommit: claim takes keys, which are UUIDs of other versions than 0 and 8, at most 10000, and for how many milliseconds to wait, at least 1'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM set_config('lock_timeout', wait_ms::text, true);
	-- While a synchronous standby is away, commits wait for it without end, and clients that
	-- give up ask here. A tombstone that the standby lacks when it is promoted is not missed:
	-- the sessions that it was to keep from writing are gone then.
	PERFORM set_config('synchronous_commit', 'local', true);
	FOREACH wanted IN ARRAY keys LOOP
		BEGIN
			INSERT INTO {schema}.journal (key, role, events, format)
			VALUES (wanted, CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END, 0, 0);
		EXCEPTION WHEN unique_violation THEN
			SELECT j.events INTO there FROM {schema}.journal j WHERE j.key = wanted;
			IF NOT FOUND THEN
				RETURN 'open'; -- this transaction's snapshot is older than the row
			ELSIF there > 0 THEN
				answer := 'written';
			END IF;
		WHEN lock_not_available THEN
			RETURN 'open';
		END;
	END LOOP;
	RETURN answer;
END
$claim$;

-- written returns what the server has added to flushes that are in the journal, for a role
-- that may not read the table. It never returns documents: the process that made the key
-- has them.
CREATE OR REPLACE FUNCTION {schema}.written(keys uuid[])
RETURNS TABLE (key uuid, xid xid8, tx_started_at timestamptz, recorded_at timestamptz, role text, events integer)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_bitmapscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off
SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_index_tuple_cost = 0.005 SET cpu_operator_cost = 0.0025 SET jit = off
AS $written$
	SELECT j.key, j.xid, j.tx_started_at, j.recorded_at, j.role, j.events FROM {schema}.journal j WHERE j.key = ANY (keys) AND j.events > 0
$written$;

-- acknowledge notes that a queue delivers flushes to a forwarder, so that the relay leaves
-- them out: only flushes that this transaction has written. It returns false, and notes nothing,
-- if the relay does not have the forwarder. The settings are those of claim.
CREATE OR REPLACE FUNCTION {schema}.acknowledge(forwarder text, keys uuid[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
SET enable_seqscan = off SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_bitmapscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off
SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_index_tuple_cost = 0.005 SET cpu_operator_cost = 0.0025 SET jit = off
AS $acknowledge$
BEGIN
	IF NOT EXISTS (SELECT FROM {schema}.cursors f WHERE f.name = forwarder COLLATE "default" AND f.retired_at IS NULL) THEN
		RETURN false;
	END IF;
	INSERT INTO {schema}.acknowledged (forwarder, key, ordinal)
	SELECT acknowledge.forwarder, j.key, n FROM {schema}.journal j, generate_series(0, j.events - 1) n
	WHERE j.key = ANY (keys) AND j.xid = pg_current_xact_id_if_assigned()
	ON CONFLICT DO NOTHING;
	RETURN true;
END
$acknowledge$;

-- enlist gives a forwarder that is new, or was retired, a cursor that starts
-- now, for a role that may not write to the table. It changes no other cursor.
CREATE OR REPLACE FUNCTION {schema}.enlist(forwarder text, home text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
SET enable_seqscan = off SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_bitmapscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off
SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_index_tuple_cost = 0.005 SET cpu_operator_cost = 0.0025 SET jit = off
AS $enlist$
DECLARE
	here text;
	mine text[];
BEGIN
	-- Looked at first: the INSERT would wait for a relay that has the row locked.
	IF EXISTS (SELECT FROM {schema}.cursors f WHERE f.name = forwarder COLLATE "default" AND f.retired_at IS NULL) THEN
		RETURN;
	END IF;
	-- A cursor with another database's place would stop the relay's own.
	here := (SELECT concat(system_identifier, '/', (SELECT oid FROM pg_database WHERE datname = current_database())) FROM pg_control_system());
	IF (home = here OR starts_with(home, here || ' ')) IS NOT TRUE OR (octet_length(forwarder) BETWEEN 1 AND 1024) IS NOT TRUE OR octet_length(home) > 1024
		-- A place of here is followed by a space and the environment, or by nothing.
		OR EXISTS (SELECT FROM {schema}.cursors f WHERE f.fence > 0 AND f.retired_at IS NULL
			AND f.place COLLATE "C" >= here AND f.place COLLATE "C" < concat(here, '!'))
		AND NOT EXISTS (SELECT FROM {schema}.cursors f WHERE f.fence > 0 AND f.retired_at IS NULL AND f.place COLLATE "C" = home) THEN
		RAISE EXCEPTION 'aftercommit: enlist takes a name of at most 1024 bytes and the place that the relay has: give forward.Options.Environment the same value here as where the relay runs'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	-- Each costs the relay, and keeps entries from being purged. The limit is for each
	-- role, so that no role uses up another's. An UPDATE locks its row: registrations of
	-- other transactions of the role are over then and visible to the next statement, or
	-- it fails (40001) if the isolation level does not let it see them. Nothing that
	-- other roles may lock is waited for.
	INSERT INTO {schema}.registrars AS r (role) VALUES (session_user)
	ON CONFLICT (role) DO UPDATE SET forwarders = r.forwarders;
	mine := ARRAY(SELECT f.name FROM {schema}.registrars r JOIN {schema}.cursors f ON f.name = ANY (r.forwarders)
		WHERE r.role = session_user::text COLLATE "default" AND f.retired_at IS NULL);
	IF cardinality(mine) >= 100 THEN
		RAISE EXCEPTION 'aftercommit: role % has registered 100 forwarders: retire those that are no longer used (relay.Store.Retire), or register this one by Hub.Relay as the owner', quote_ident(session_user)
			USING ERRCODE = 'program_limit_exceeded';
	END IF;
	UPDATE {schema}.registrars SET forwarders = mine || forwarder WHERE role = session_user::text COLLATE "default";
	INSERT INTO {schema}.cursors AS f (name, place, done) VALUES (forwarder, home, pg_current_snapshot())
	ON CONFLICT (name) DO UPDATE SET retired_at = NULL, registered_at = clock_timestamp(), holder = NULL, lease_until = NULL, fence = f.fence + 1,
		done = EXCLUDED.done, tick = NULL, at_xid = NULL, at_key = NULL, at_ordinal = NULL, place = EXCLUDED.place,
		safe_at = EXCLUDED.safe_at, mark_xid = EXCLUDED.mark_xid, mark_at = EXCLUDED.mark_at
	WHERE f.retired_at IS NOT NULL;
END
$enlist$;
