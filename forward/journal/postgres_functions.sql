-- The journal's functions, of this version. Run on older ones they replace them.

-- From version 2, where processes did not say what their forwarders are.
ALTER TABLE "{schema}".workers ADD COLUMN IF NOT EXISTS forwarders text;

-- lacking returns the \u escapes in a JSON document whose characters this
-- database's encoding has not. The document is ASCII, with a backslash as \u005c.
CREATE OR REPLACE FUNCTION "{schema}".lacking(doc text) RETURNS SETOF text
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
REVOKE ALL ON FUNCTION "{schema}".lacking(text) FROM PUBLIC;

-- storable writes characters that this database's encoding has not as <U+1F600>,
-- and notes the fields with such under altered in the metadata. In those fields
-- a < before U+ is written so too; what was there can be told from the result,
-- unless it had to be cut to fit the timeline's indexes.
CREATE OR REPLACE FUNCTION "{schema}".storable(events json) RETURNS json
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
		FOR escape IN SELECT * FROM "{schema}".lacking(event) LOOP
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
REVOKE ALL ON FUNCTION "{schema}".storable(json) FROM PUBLIC;

-- record writes events in the calling transaction. It returns no row, and
-- writes nothing, if the transaction has no xid yet, or is read-only and has
-- written to nothing that is kept, because a transaction that wrote nothing must
-- not be made a writing one; own overrides that. It fails with 25X06 if the
-- transaction has written and was made read-only since. The shared lock of token
-- is held until the transaction is over.
--
-- The SET of lock_timeout also confines the set_config inside to this call.
CREATE OR REPLACE FUNCTION "{schema}".record(events json, token bigint, own boolean, wait_ms integer)
RETURNS SETOF integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $record$
DECLARE
	fresh integer;
	taken text;
BEGIN
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
		events := "{schema}".storable(events);
	END IF;
	-- current_user is the function's owner here; what the app has SET ROLE to,
	-- or logged in as, is not.
	INSERT INTO "{schema}".audit_events (role,
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
	ON CONFLICT (id) DO NOTHING;
	GET DIAGNOSTICS fresh = ROW_COUNT;
	IF fresh < json_array_length(events) THEN
		-- The same event again is harmless: a write may be repeated when its
		-- answer was lost. Another one would be missing without a word. A
		-- captured one never fails the app, and its ID is not the app's choice.
		SELECT min(a.id::text) INTO taken
		FROM json_array_elements(events) AS e (event)
		JOIN "{schema}".audit_events a ON a.id = (e.event ->> 'id')::uuid
		WHERE NOT coalesce((e.event ->> 'captured')::boolean, false)
		AND to_jsonb(a) - '{seq,xid,tx_started_at,recorded_at,role}'::text[]
			<> to_jsonb(jsonb_populate_record(NULL::"{schema}".audit_events,
				'{"captured": false}'::jsonb || e.event::jsonb)) - '{seq,xid,tx_started_at,recorded_at,role}'::text[];
		IF taken IS NOT NULL THEN
			RAISE EXCEPTION 'aftercommit: the journal has another event with the ID %: leave Event.ID empty, or give each event an ID of its own', taken
				USING ERRCODE = 'unique_violation';
		END IF;
	END IF;
	RETURN NEXT 1;
END
$record$;
REVOKE ALL ON FUNCTION "{schema}".record(json, bigint, boolean, integer) FROM PUBLIC;

-- register gives a forwarder that is new, or was retired, a cursor that starts
-- now, for a role that may not write to the table. It changes no other cursor.
CREATE OR REPLACE FUNCTION "{schema}".register(forwarder text, home text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $register$
BEGIN
	-- Looked at first: the INSERT would wait for a relay that has the row locked.
	IF EXISTS (SELECT FROM "{schema}".forwarders f WHERE f.name = forwarder AND f.retired_at IS NULL) THEN
		RETURN;
	END IF;
	INSERT INTO "{schema}".forwarders AS f (name, place, done, mark_seq)
	SELECT forwarder, home, n.p, n.top
	FROM (SELECT pg_current_snapshot() AS p, (SELECT coalesce(max(seq), 0) FROM "{schema}".audit_events) AS top) n
	ON CONFLICT (name) DO UPDATE SET retired_at = NULL, registered_at = clock_timestamp(), holder = NULL, lease_until = NULL, fence = f.fence + 1,
		done = EXCLUDED.done, tick = NULL, high = 0, seq = 0, place = EXCLUDED.place, safe_seq = 0, mark_xid = EXCLUDED.mark_xid, mark_seq = EXCLUDED.mark_seq
	WHERE f.retired_at IS NOT NULL;
END
$register$;
REVOKE ALL ON FUNCTION "{schema}".register(text, text) FROM PUBLIC;

INSERT INTO "{schema}".schema_versions (component, version) VALUES ('journal', 3)
ON CONFLICT (component) DO UPDATE SET version = excluded.version, migrated_at = excluded.migrated_at;
