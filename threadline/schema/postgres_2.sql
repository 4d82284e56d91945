-- Step 2: the column journal_key. Programs of step 1 do not know it and work on, so
-- the version stays 1. Then the functions, of this version.
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'threadline' AND c.relname = 'audit_actions' AND a.attname = 'journal_key' AND NOT a.attisdropped) THEN
        ALTER TABLE "threadline".audit_actions ADD COLUMN journal_key uuid;
    END IF;

    -- Step 3: who made a transaction, and in which context. A transaction's events have a row here
    -- for each context, and for each delivery that brought some of them: rows are only added.
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'threadline' AND c.relname = 'audit_contexts') THEN
        CREATE TABLE "threadline".audit_contexts (
            tx_id             bigint NOT NULL,
            tx_started_at     timestamptz NOT NULL,
            id                uuid NOT NULL, -- of the first of these events
            action_id         uuid,          -- of the first that was recorded and not captured
            actor_type        text COLLATE "C",
            actor_id          text COLLATE "C",
            actor_name        text,
            on_behalf_of      text COLLATE "C",
            tenant_id         text COLLATE "C",
            request_id        text COLLATE "C",
            correlation_id    text COLLATE "C",
            job_id            text COLLATE "C",
            ip_address        text COLLATE "C",
            user_agent        text,
            application       text,
            host              text,
            role              text,
            events            integer NOT NULL,
            occurred_at       timestamptz NOT NULL,
            -- The events are in audit_actions between these two, by its index on the time.
            first_recorded_at timestamptz NOT NULL,
            last_recorded_at  timestamptz NOT NULL,
            PRIMARY KEY (tx_id, tx_started_at, id)
        );
        -- Where these indexes are, the table has the contexts of all events, and row changes are found by them. If there are
        -- earlier events, changes/capture.Installer.Migrate adds their contexts and makes the indexes.
        IF NOT EXISTS (SELECT FROM "threadline".audit_actions) THEN
            CREATE INDEX audit_contexts_actor ON "threadline".audit_contexts (actor_id, tx_started_at, tx_id) WHERE actor_id IS NOT NULL;
            CREATE INDEX audit_contexts_correlation ON "threadline".audit_contexts (correlation_id, tx_started_at, tx_id) WHERE correlation_id IS NOT NULL;
            CREATE INDEX audit_contexts_request ON "threadline".audit_contexts (request_id, tx_started_at, tx_id) WHERE request_id IS NOT NULL;
        END IF;
    ELSIF EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                  WHERE n.nspname = 'threadline' AND p.proname = 'add' AND pg_catalog.strpos(p.prosrc, 'audit_contexts') = 0) THEN
        -- A program of step 2 has put its function back, and since then contexts are missing.
        DROP INDEX IF EXISTS "threadline".audit_contexts_actor, "threadline".audit_contexts_correlation, "threadline".audit_contexts_request;
    END IF;

    -- One row is a transaction. What differs between its contexts is NULL, and in meta.
    CREATE OR REPLACE VIEW "threadline".audit_transactions AS
    SELECT pg_catalog.min(c.id::pg_catalog.text COLLATE "C")::pg_catalog.uuid AS id, c.tx_id AS txid, c.tx_started_at, pg_catalog.min(c.occurred_at) AS occurred_at,
        CASE WHEN pg_catalog.count(DISTINCT coalesce(c.application, '')) OPERATOR(pg_catalog.=) 1 THEN pg_catalog.min(c.application) END AS source,
        CASE WHEN pg_catalog.count(DISTINCT coalesce(c.actor_ref, '')) OPERATOR(pg_catalog.=) 1 THEN pg_catalog.min(c.actor_ref) END AS actor_ref,
        pg_catalog.array_agg(DISTINCT coalesce(c.actor_ref, 'unattributed')) AS actors,
        pg_catalog.min(c.action_id::pg_catalog.text COLLATE "C")::pg_catalog.uuid AS action_id,
        pg_catalog.sum(c.events)::pg_catalog.int8 AS events, pg_catalog.min(c.first_recorded_at) AS first_recorded_at, pg_catalog.max(c.last_recorded_at) AS last_recorded_at,
        pg_catalog.jsonb_agg(DISTINCT pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
            'actor_type', c.actor_type, 'actor_id', c.actor_id, 'actor_name', c.actor_name, 'on_behalf_of', c.on_behalf_of, 'tenant_id', c.tenant_id,
            'request_id', c.request_id, 'correlation_id', c.correlation_id, 'job_id', c.job_id, 'ip_address', c.ip_address, 'user_agent', c.user_agent,
            'application', c.application, 'host', c.host, 'role', c.role))) AS meta
    FROM (SELECT t.*, t.actor_type OPERATOR(pg_catalog.||) coalesce(':' OPERATOR(pg_catalog.||) t.actor_id, '') AS actor_ref FROM "threadline".audit_contexts t) c
    GROUP BY c.tx_id, c.tx_started_at;

    -- refuse is the error for an entry that readers could not show.
    CREATE OR REPLACE FUNCTION "threadline".refuse(event uuid, field text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $refuse$
    BEGIN
        RAISE EXCEPTION 'threadline: event %: % is missing, too long, or not of the form that package hooks documents', coalesce(event::text, 'without an id'), field
            USING ERRCODE = 'invalid_parameter_value';
    END
    $refuse$;

    -- add writes entries. For another transaction that is writing an entry of the same
    -- id it waits at most wait_ms, which fails it (55P03).
    --
    -- What readers could not show is refused (22023), by the limits of package hooks:
    -- in bytes, twice as many where the encoding is not UTF-8, and four times for comments
    -- and metadata everywhere, since the journal may be on such a server; that of
    -- metadata is for its text here. A newer function is no new version of the
    -- tables, so that older programs run beside newer ones.
    CREATE OR REPLACE FUNCTION "threadline".add(doc json, wait_ms integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $add$
    DECLARE
        fresh integer;
        wide integer := CASE WHEN getdatabaseencoding() IN ('UTF8', 'SQL_ASCII') THEN 1 ELSE 4 END;
    BEGIN
        IF wait_ms <> 100 THEN
            PERFORM set_config('lock_timeout', wait_ms::text, true); -- until the function returns
        END IF;
        WITH added AS (INSERT INTO "threadline".audit_actions (
            id, name, outcome, actor_type, actor_id, actor_name, on_behalf_of,
            target_type, target_id, target_name, tenant_id, request_id,
            correlation_id, causation_id, job_id, trace_parent, ip_address,
            user_agent, reason, comment, metadata, application, host, role,
            captured, occurred_at, recorded_at, seq, tx_id, tx_started_at, journal_key)
        SELECT id, name, outcome, actor_type, actor_id, actor_name, on_behalf_of,
            target_type, target_id, target_name, tenant_id, request_id,
            coalesce(correlation_id, id::text), causation_id, job_id, trace_parent, ip_address,
            user_agent, reason, comment, metadata, application, host, role,
            coalesce(captured, false), occurred_at, recorded_at, coalesce(seq, 0), tx_id, tx_started_at, journal_key
        FROM json_to_recordset(doc) AS entry (
            id uuid, name text, outcome text, actor_type text, actor_id text,
            actor_name text, on_behalf_of text, target_type text, target_id text,
            target_name text, tenant_id text, request_id text, correlation_id text,
            causation_id text, job_id text, trace_parent text, ip_address text,
            user_agent text, reason text, comment text, metadata jsonb,
            application text, host text, role text, captured boolean,
            occurred_at timestamptz, recorded_at timestamptz, seq bigint,
            tx_id bigint, tx_started_at timestamptz, journal_key uuid)
        CROSS JOIN LATERAL (SELECT CASE
            WHEN (id <> '00000000-0000-0000-0000-000000000000') IS NOT TRUE THEN 'id'
            WHEN (occurred_at >= '0001-01-01 00:00:00+00'::timestamptz AND occurred_at < '10000-01-01 00:00:00+00'::timestamptz) IS NOT TRUE THEN 'occurred_at'
            WHEN (recorded_at >= '0001-01-01 00:00:00+00'::timestamptz AND recorded_at < '10000-01-01 00:00:00+00'::timestamptz) IS NOT TRUE THEN 'recorded_at'
            WHEN NOT (tx_started_at >= '0001-01-01 00:00:00+00'::timestamptz AND tx_started_at < '10000-01-01 00:00:00+00'::timestamptz) THEN 'tx_started_at'
            WHEN (octet_length(name) <= 255 AND name ~ '^[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*)+$' COLLATE "C") IS NOT TRUE THEN 'name'
            WHEN (outcome IN ('success', 'failure', 'error')) IS NOT TRUE THEN 'outcome'
            WHEN greatest(octet_length(actor_type), octet_length(actor_id), octet_length(actor_name), octet_length(on_behalf_of),
                octet_length(target_type), octet_length(target_id), octet_length(target_name), octet_length(tenant_id),
                octet_length(request_id), octet_length(correlation_id), octet_length(causation_id), octet_length(job_id),
                octet_length(trace_parent), octet_length(ip_address), octet_length(user_agent), octet_length(reason),
                octet_length(application), octet_length(host), octet_length(role)) > 1024 * least(wide, 2) THEN 'a text'
            WHEN octet_length(comment) > 32768 THEN 'comment'
            WHEN metadata IS NOT NULL AND (jsonb_typeof(metadata) = 'object' AND octet_length(metadata::text) <= 65536
                AND NOT metadata @? '$.**{101}') IS NOT TRUE THEN 'metadata'
            END AS field) AS wrong
        WHERE wrong.field IS NULL OR "threadline".refuse(id, wrong.field)
        ORDER BY id
        ON CONFLICT DO NOTHING
        RETURNING id, actor_type, actor_id, actor_name, on_behalf_of, tenant_id, request_id, nullif(correlation_id, id::text) AS correlation_id, job_id,
            ip_address, user_agent, application, host, role, captured, occurred_at, recorded_at, tx_id, tx_started_at),
        contexts AS (INSERT INTO "threadline".audit_contexts (
            tx_id, tx_started_at, id, action_id, actor_type, actor_id, actor_name, on_behalf_of, tenant_id, request_id, correlation_id, job_id,
            ip_address, user_agent, application, host, role, events, occurred_at, first_recorded_at, last_recorded_at)
        SELECT tx_id, tx_started_at, min(id::text COLLATE "C")::uuid, (min(id::text COLLATE "C") FILTER (WHERE NOT captured))::uuid,
            actor_type, actor_id, actor_name, on_behalf_of, tenant_id, request_id, correlation_id, job_id,
            ip_address, user_agent, application, host, role, count(*), min(occurred_at), min(recorded_at), max(recorded_at)
        FROM added WHERE tx_id IS NOT NULL AND tx_started_at IS NOT NULL
        GROUP BY tx_id, tx_started_at, actor_type, actor_id, actor_name, on_behalf_of, tenant_id, request_id, correlation_id, job_id,
            ip_address, user_agent, application, host, role
        ON CONFLICT DO NOTHING) -- the actions were purged, and come again
        SELECT count(*) INTO fresh FROM added;
        RETURN fresh;
    END
    $add$;

    -- lacking returns the \u escapes in a JSON document whose characters this
    -- database's encoding has not. The document is ASCII, with a backslash as \u005c.
    CREATE OR REPLACE FUNCTION "threadline".lacking(doc text) RETURNS SETOF text
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

    -- plain puts UTF-8 in the place of \u escapes, for databases that store any bytes, and cannot
    -- decode those.
    CREATE OR REPLACE FUNCTION "threadline".plain(doc json) RETURNS json
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    SET standard_conforming_strings = on
    AS $plain$
    DECLARE
        text_of text := replace(doc::text, E'\\\\', E'\\u005c');
        escape text;
        code integer;
        digits text;
    BEGIN
        FOR escape IN SELECT DISTINCT m[1] FROM regexp_matches(text_of,
            '([\\]u[dD][89abAB][0-9a-fA-F]{2}[\\]u[0-9a-fA-F]{4}|[\\]u[0-9a-fA-F]{4})', 'g') AS m
        LOOP
            CONTINUE WHEN escape ~ '^[\\]u00[0-7]';
            code := ('x' || substr(escape, 3, 4))::bit(16)::integer;
            IF length(escape) > 6 THEN
                code := 65536 + (code - 55296) * 1024 + ('x' || substr(escape, 9, 4))::bit(16)::integer - 56320;
            END IF;
            digits := CASE
                WHEN code < 2048 THEN to_hex(192 + code / 64)
                WHEN code < 65536 THEN to_hex(224 + code / 4096) || to_hex(128 + code / 64 % 64)
                ELSE to_hex(240 + code / 262144) || to_hex(128 + code / 4096 % 64) || to_hex(128 + code / 64 % 64)
            END || to_hex(128 + code % 64);
            text_of := replace(text_of, escape, convert_from(decode(digits, 'hex'), 'SQL_ASCII'));
        END LOOP;
        RETURN text_of;
    END
    $plain$;

    -- storable writes characters that this database's encoding lacks as <U+1F600>, and
    -- lists the fields that had some under altered in the metadata. In those fields a <
    -- before U+ is written so too, so that the original can be restored from the result,
    -- unless it had to be cut to fit the timeline's indexes.
    CREATE OR REPLACE FUNCTION "threadline".storable(events json) RETURNS json
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
            FOR escape IN SELECT * FROM "threadline".lacking(event) LOOP
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

    -- The only way to write. It runs as its owner with a fixed search_path,
    -- so that the app's role needs no right on the tables, and neither SET
    -- ROLE nor search_path matters. Sorted by id, two deliveries of the same
    -- entries cannot deadlock. An entry that is there stays as it is.
    --
    -- An entry whose id another transaction is writing is left out: that transaction
    -- may stay open for as long as its role likes, and the other entries must not wait
    -- for it. record then returns how many it has left out, as a negative number, and
    -- else how many are new.
    CREATE OR REPLACE FUNCTION "threadline".record(doc json) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $record$
    DECLARE
        fresh integer := 0;
        held integer := 0;
        entry json;
    BEGIN
        IF getdatabaseencoding() NOT IN ('UTF8', 'SQL_ASCII') AND position(E'\\u' IN doc::text) > 0 THEN
            doc := "threadline".storable(doc);
        ELSIF getdatabaseencoding() = 'SQL_ASCII' THEN
            doc := "threadline".plain(doc);
            PERFORM convert_from(convert_to(doc::text, 'SQL_ASCII'), 'UTF8'); -- an error unless it is UTF-8
        END IF;
        -- A lock on a table itself, as maintenance takes, is waited for.
        LOCK TABLE "threadline".audit_actions, "threadline".audit_contexts IN ROW EXCLUSIVE MODE;
        BEGIN
            RETURN "threadline".add(doc, 100);
        EXCEPTION WHEN lock_not_available THEN
            NULL; -- they are added one by one
        END;
        FOR entry IN SELECT e FROM json_array_elements(doc) AS e ORDER BY e ->> 'id' LOOP
            BEGIN
                fresh := fresh + "threadline".add(json_build_array(entry), 1);
            EXCEPTION WHEN lock_not_available THEN
                held := held + 1;
            END;
        END LOOP;
        RETURN CASE WHEN held > 0 THEN -held ELSE fresh END;
    END
    $record$;
END;
