-- The journal's functions, of this version. Run on older ones they replace them.

IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'schema_versions') THEN
	RAISE EXCEPTION 'aftercommit: there is no journal in schema % to upgrade: run what journal.Schema returns, or name its schema in Options.Schema', {name}
		USING ERRCODE = 'AC001';
END IF;
IF EXISTS (SELECT FROM {schema}.schema_versions v WHERE v.component = 'journal' AND v.version > 4) THEN
	RAISE EXCEPTION 'aftercommit: the journal in schema % is of a newer version: build the program that this is from with that one', {name}
		USING ERRCODE = 'AC001';
END IF;

-- From version 2, where processes did not say what their forwarders are.
IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = {name} AND c.relname = 'workers' AND a.attname = 'forwarders' AND NOT a.attisdropped) THEN
	ALTER TABLE {schema}.workers ADD COLUMN forwarders text;
END IF;

-- From version 3, where one limit of register was for all roles together. A role's row
-- has the forwarders that it has registered, and is locked while it registers one.
IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'registrars') THEN
	CREATE TABLE {schema}.registrars (
		role       text PRIMARY KEY,
		forwarders text[] NOT NULL DEFAULT '{}'
	);
END IF;

-- lacking returns the \u escapes in a JSON document whose characters this
-- database's encoding has not. The document is ASCII, with a backslash as \u005c.
CREATE OR REPLACE FUNCTION {schema}.lacking(doc text) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $lacking$
DECLARE
	escape text;
BEGIN
	-- ARE: the longest alternative wins, so halves of a pair stay together.
	FOR escape IN
		SELECT DISTINCT m[1] FROM regexp_matches(doc,
			'([\\]u[dD][89abAB][0-9a-fA-F]{2}[\\]u[0-9a-fA-F]{4}|[\\]u[0-9a-fA-F]{4})', 'g') AS m
	LOOP
		CONTINUE WHEN escape ~ '^[\\]u00[0-7]';
		BEGIN
			PERFORM ('["' || escape || '"]')::json ->> 0;
		EXCEPTION WHEN untranslatable_character OR character_not_in_repertoire THEN
			RETURN NEXT escape;
		END;
	END LOOP;
END
$lacking$;

-- storable writes characters that this database's encoding lacks as <U+1F600>, and
-- lists the fields that had some under altered in the metadata. In those fields a <
-- before U+ is written so too, so that the original can be restored from the result,
-- unless it had to be cut to fit the timeline's indexes.
CREATE OR REPLACE FUNCTION {schema}.storable(events json) RETURNS json
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $storable$
DECLARE
	event text;
	written text; -- with such escapes
	marked text;  -- where a field differs from written, it had a character replaced
	escape text;
	code integer;
	field record;
	altered text[];
	result jsonb;
	results jsonb[] := '{}';
	value text;
BEGIN
	FOR event IN SELECT replace(e::text, E'\\\\', E'\\u005c') FROM json_array_elements(events) AS e LOOP
		written := replace(event, '<U+', '<U+003C>U+');
		marked := written;
		FOR escape IN SELECT * FROM {schema}.lacking(event) LOOP
			code := ('x' || substr(escape, 3, 4))::bit(16)::integer;
			IF length(escape) > 6 THEN
				code := 65536 + (code - 55296) * 1024 + ('x' || substr(escape, 9, 4))::bit(16)::integer - 56320;
			END IF;
			written := replace(written, escape, '<U+' || lpad(upper(to_hex(code)), CASE WHEN code < 65536 THEN 4 ELSE length(to_hex(code)) END, '0') || '>');
			marked := replace(marked, escape, '');
			event := replace(event, escape, '');
		END LOOP;
		altered := '{}';
		result := event::jsonb;
		FOR field IN SELECT w.key, w.value FROM json_each(written::json) AS w
			JOIN json_each(marked::json) AS m ON m.key = w.key
			WHERE w.value::text <> m.value::text ORDER BY w.key
		LOOP
			altered := altered || field.key;
			IF field.key = 'metadata' THEN
				result := result || jsonb_build_object('metadata', field.value::jsonb);
				CONTINUE;
			END IF;
			value := field.value #>> '{}';
			WHILE field.key <> 'comment' AND octet_length(value) > 1024 LOOP
				value := left(value, -greatest(1, (octet_length(value) - 1024) / 4));
			END LOOP;
			result := result || jsonb_build_object(field.key, value);
		END LOOP;
		IF altered <> '{}' THEN
			result := jsonb_set(result, '{metadata}',
				jsonb_build_object('altered', altered) || coalesce(result -> 'metadata', '{}'));
		END IF;
		results := results || result;
	END LOOP;
	RETURN array_to_json(results);
END
$storable$;

-- refuse is the error for an event that readers could not show, or sinks not take.
CREATE OR REPLACE FUNCTION {schema}.refuse(event uuid, field text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $refuse$
BEGIN
	RAISE EXCEPTION 'aftercommit: event %: % is missing, too long, or not of the form that package hooks documents', coalesce(event::text, 'without an id'), field
		USING ERRCODE = 'invalid_parameter_value', HINT = 'hooks.Record says what is wrong before it reaches the database.';
END
$refuse$;

-- excess returns the name of the first text beyond its limit, in the order in which
-- record has them.
CREATE OR REPLACE FUNCTION {schema}.excess(texts text[], wide integer) RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $excess$
BEGIN
	RETURN (SELECT t.field FROM unnest(texts, '{
		actor_type, actor_id, actor_name, on_behalf_of, target_type, target_id, target_name,
		tenant_id, request_id, correlation_id, causation_id, job_id, trace_parent,
		ip_address, user_agent, reason, comment, application, host}'::text[]) AS t (value, field)
		WHERE octet_length(t.value) > CASE t.field WHEN 'user_agent' THEN 512 * wide WHEN 'comment' THEN 8192 * wide ELSE 1024 * least(wide, 2) END LIMIT 1);
END
$excess$;

-- entries reads events back by id, for a role that may not read the table: an id is
-- random enough that only those who wrote the event know it.
--
-- Here and below, the planner's settings are not the caller's: in a SERIALIZABLE
-- transaction a sequential scan locks the whole table against the writes of all others.
CREATE OR REPLACE FUNCTION {schema}.entries(ids uuid[])
RETURNS SETOF {schema}.audit_events
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_bitmapscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off
SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_index_tuple_cost = 0.005 SET cpu_operator_cost = 0.0025
AS $entries$
	SELECT * FROM {schema}.audit_events WHERE id = ANY (ids)
$entries$;

-- other returns the least ID of those for which the journal has another event than events,
-- captured ones excepted: these never fail the app, and their IDs are not its choice.
CREATE OR REPLACE FUNCTION {schema}.other(events json) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_bitmapscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off
SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_index_tuple_cost = 0.005 SET cpu_operator_cost = 0.0025
AS $other$
BEGIN
	RETURN (SELECT min(a.id::text)
		FROM json_array_elements(events) AS e (event)
		JOIN {schema}.audit_events a ON a.id = (e.event ->> 'id')::uuid
		WHERE NOT coalesce((e.event ->> 'captured')::boolean, false)
		AND to_jsonb(a) - '{seq,xid,tx_started_at,recorded_at,role}'::text[]
			<> to_jsonb(jsonb_populate_record(NULL::{schema}.audit_events,
				'{"captured": false}'::jsonb || e.event::jsonb)) - '{seq,xid,tx_started_at,recorded_at,role}'::text[]);
END
$other$;

-- record writes events in the calling transaction. It returns no row, and
-- writes nothing, if the transaction has no xid yet, or is read-only and has
-- written to nothing that is kept, because a transaction that wrote nothing must
-- not be made a writing one; own overrides that. It fails with 25X06 if the
-- transaction has written and was made read-only since. The shared lock of token
-- is held until the transaction is over, or what was written is taken back: after that
-- another session may have it, so the next call needs another token.
--
-- A role that may execute it writes what all readers read and all forwarders get. So
-- it refuses (22023) what hooks.Validate refuses, except secrets in
-- metadata; what has the wrong type fails when it is read (class 22). Limits are in
-- bytes. Where the encoding is not UTF-8 a text may be longer, and storable makes it so:
-- there they are four times as high, and twice for what the timeline has indexes on, which
-- storable cuts. That of metadata is for its text here, in which
-- JSON has spaces. Captured events must never fail the app, and programs of an
-- earlier version were less strict about their actors, so those are not looked at.
--
-- The SET of lock_timeout also confines the set_config inside to this call.
CREATE OR REPLACE FUNCTION {schema}.record(events json, token bigint, own boolean, wait_ms integer)
RETURNS SETOF integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $record$
DECLARE
	fresh integer;
	taken text;
	wide integer := CASE WHEN getdatabaseencoding() IN ('UTF8', 'SQL_ASCII') THEN 1 ELSE 4 END;
BEGIN
	IF (json_typeof(events) = 'array' AND token IS NOT NULL AND own IS NOT NULL AND wait_ms >= 1) IS NOT TRUE THEN
		RAISE EXCEPTION 'aftercommit: record takes an array of events, a token, whether the transaction is its own, and for how many milliseconds to wait, at least 1'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF NOT own THEN
		IF pg_current_xact_id_if_assigned() IS NULL THEN
			RETURN;
		END IF;
		IF current_setting('transaction_read_only') = 'on' THEN
			-- Temporary tables may be written to, which takes an xid as well. Whoever
			-- has written to another one holds a lock on it.
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
	-- Before any seq is taken, so that a later xid has only later ones.
	PERFORM pg_current_xact_id();
	PERFORM pg_advisory_xact_lock_shared(token);
	IF getdatabaseencoding() NOT IN ('UTF8', 'SQL_ASCII') AND position(E'\\u' IN events::text) > 0 THEN
		events := {schema}.storable(events);
	ELSIF getdatabaseencoding() = 'SQL_ASCII' THEN
		PERFORM convert_from(convert_to(events::text, 'SQL_ASCII'), 'UTF8'); -- an error unless it is UTF-8
	END IF;
	-- current_user is the function's owner here; what the app has SET ROLE to,
	-- or logged in as, is not.
	INSERT INTO {schema}.audit_events (role,
		id, occurred_at, action, outcome,
		actor_type, actor_id, actor_name, on_behalf_of,
		target_type, target_id, target_name,
		tenant_id, request_id, correlation_id, causation_id, job_id, trace_parent,
		ip_address, user_agent, reason, comment, metadata,
		application, host, captured)
	SELECT CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END,
		e.id, e.occurred_at, e.action, e.outcome,
		e.actor_type, e.actor_id, e.actor_name, e.on_behalf_of,
		e.target_type, e.target_id, e.target_name,
		e.tenant_id, e.request_id, e.correlation_id, e.causation_id, e.job_id, e.trace_parent,
		e.ip_address, e.user_agent, e.reason, e.comment, e.metadata,
		e.application, e.host, coalesce(e.captured, false)
	FROM json_to_recordset(events) AS e (
		id uuid, occurred_at timestamptz, action text, outcome text,
		actor_type text, actor_id text, actor_name text, on_behalf_of text,
		target_type text, target_id text, target_name text,
		tenant_id text, request_id text, correlation_id text, causation_id text, job_id text, trace_parent text,
		ip_address text, user_agent text, reason text, comment text, metadata jsonb,
		application text, host text, captured boolean)
	CROSS JOIN LATERAL (SELECT ARRAY[
		e.actor_type, e.actor_id, e.actor_name, e.on_behalf_of, e.target_type, e.target_id, e.target_name,
		e.tenant_id, e.request_id, e.correlation_id, e.causation_id, e.job_id, e.trace_parent,
		e.ip_address, e.user_agent, e.reason, e.comment, e.application, e.host] AS texts) AS t
	CROSS JOIN LATERAL (SELECT CASE
		WHEN (e.id <> '00000000-0000-0000-0000-000000000000') IS NOT TRUE THEN 'id'
		WHEN (e.occurred_at >= '0001-01-01 00:00:00+00'::timestamptz AND e.occurred_at < '10000-01-01 00:00:00+00'::timestamptz) IS NOT TRUE THEN 'occurred_at'
		WHEN (octet_length(e.action) <= 255 AND e.action ~ '^[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*)+$' COLLATE "C") IS NOT TRUE THEN 'action'
		WHEN (e.outcome IN ('success', 'failure', 'error')) IS NOT TRUE THEN 'outcome'
		WHEN e.captured IS NOT TRUE AND coalesce(e.actor_type, e.actor_id, e.actor_name, e.on_behalf_of) IS NOT NULL
			AND (e.actor_type IN ('system', 'anonymous') OR e.actor_type IN ('user', 'admin', 'service_account', 'job') AND e.actor_id <> '') IS NOT TRUE THEN 'actor'
		-- What is at depth 101 is in a level beyond the 100th, the metadata being the first.
		WHEN e.metadata IS NOT NULL AND (jsonb_typeof(e.metadata) = 'object' AND octet_length(e.metadata::text) <= 16384 * wide
			AND NOT e.metadata @? '$.**{101}') IS NOT TRUE THEN 'metadata'
		-- If all texts together are short, each is.
		WHEN pg_column_size(t.texts) > 512 THEN {schema}.excess(t.texts, wide)
		END AS field) AS wrong
	WHERE wrong.field IS NULL OR {schema}.refuse(e.id, wrong.field)
	ON CONFLICT (id) DO NOTHING;
	GET DIAGNOSTICS fresh = ROW_COUNT;
	IF fresh < json_array_length(events) THEN
		-- The same event again is harmless: a write may be repeated when its
		-- answer was lost. Another one would be missing without a word.
		taken := {schema}.other(events);
		IF taken IS NOT NULL THEN
			RAISE EXCEPTION 'aftercommit: the journal has another event with the ID %: leave Event.ID empty, or give each event an ID of its own', taken
				USING ERRCODE = 'unique_violation';
		END IF;
	END IF;
	RETURN NEXT 1;
END
$record$;

-- settle notes that a queue delivers events to a forwarder, so that the relay leaves them
-- out: only events that this transaction has written. It returns false, and notes nothing,
-- if the relay does not have the forwarder. The settings are those of entries.
CREATE OR REPLACE FUNCTION {schema}.settle(forwarder text, ids uuid[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_bitmapscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off
SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_index_tuple_cost = 0.005 SET cpu_operator_cost = 0.0025
AS $settle$
BEGIN
	IF NOT EXISTS (SELECT FROM {schema}.forwarders f WHERE f.name = forwarder AND f.retired_at IS NULL) THEN
		RETURN false;
	END IF;
	INSERT INTO {schema}.settled (forwarder, event_id)
	SELECT settle.forwarder, e.id FROM {schema}.audit_events e WHERE e.id = ANY (ids) AND e.xid = pg_current_xact_id_if_assigned()
	ON CONFLICT DO NOTHING;
	RETURN true;
END
$settle$;

-- register gives a forwarder that is new, or was retired, a cursor that starts
-- now, for a role that may not write to the table. It changes no other cursor.
CREATE OR REPLACE FUNCTION {schema}.register(forwarder text, home text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
SET enable_seqscan = off SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_bitmapscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off
SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_index_tuple_cost = 0.005 SET cpu_operator_cost = 0.0025
AS $register$
DECLARE
	here text;
	mine text[];
BEGIN
	-- Looked at first: the INSERT would wait for a relay that has the row locked.
	IF EXISTS (SELECT FROM {schema}.forwarders f WHERE f.name = forwarder AND f.retired_at IS NULL) THEN
		RETURN;
	END IF;
	-- A cursor with another database's place would stop the relay's own.
	here := (SELECT concat(system_identifier, '/', (SELECT oid FROM pg_database WHERE datname = current_database())) FROM pg_control_system());
	IF (home = here OR starts_with(home, here || ' ')) IS NOT TRUE OR (octet_length(forwarder) BETWEEN 1 AND 1024) IS NOT TRUE OR octet_length(home) > 1024
		OR EXISTS (SELECT FROM {schema}.forwarders f WHERE f.fence > 0 AND f.retired_at IS NULL
			AND (f.place = here OR starts_with(f.place, here || ' ')) HAVING bool_and(f.place <> home)) THEN
		RAISE EXCEPTION 'aftercommit: register takes a name of at most 1024 bytes and the place that the relay has: give forward.Options.Environment the same value here as where the relay runs'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	-- Each costs the relay, and keeps entries from being purged. The limit is for each
	-- role, so that no role uses up another's. An UPDATE locks its row: registrations of
	-- other transactions of the role are over then and visible to the next statement, or
	-- it fails (40001) if the isolation level does not let it see them. Nothing that
	-- other roles may lock is waited for.
	INSERT INTO {schema}.registrars AS r (role) VALUES (session_user)
	ON CONFLICT (role) DO UPDATE SET forwarders = r.forwarders;
	mine := ARRAY(SELECT f.name FROM {schema}.registrars r JOIN {schema}.forwarders f ON f.name = ANY (r.forwarders)
		WHERE r.role = session_user AND f.retired_at IS NULL);
	IF cardinality(mine) >= 100 THEN
		RAISE EXCEPTION 'aftercommit: role % has registered 100 forwarders: retire those that are no longer used (relay.Store.Retire), or register this one by Hub.Relay as the owner', quote_ident(session_user)
			USING ERRCODE = 'program_limit_exceeded';
	END IF;
	UPDATE {schema}.registrars SET forwarders = mine || forwarder WHERE role = session_user;
	INSERT INTO {schema}.forwarders AS f (name, place, done, mark_seq)
	SELECT forwarder, home, n.p, n.top
	FROM (SELECT pg_current_snapshot() AS p, (SELECT coalesce(max(seq), 0) FROM {schema}.audit_events) AS top) n
	ON CONFLICT (name) DO UPDATE SET retired_at = NULL, registered_at = clock_timestamp(), holder = NULL, lease_until = NULL, fence = f.fence + 1,
		done = EXCLUDED.done, tick = NULL, high = 0, seq = 0, place = EXCLUDED.place, safe_seq = 0, mark_xid = EXCLUDED.mark_xid, mark_seq = EXCLUDED.mark_seq
	WHERE f.retired_at IS NOT NULL;
END
$register$;

INSERT INTO {schema}.schema_versions (component, version) VALUES ('journal', 4)
ON CONFLICT (component) DO UPDATE SET version = excluded.version, migrated_at = excluded.migrated_at;
