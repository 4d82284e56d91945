-- The tables and functions, in the frame of package pgschema.
DECLARE
    have integer := 0;
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'threadline' AND c.relname = 'schema_version') THEN
        SELECT coalesce(pg_catalog.max(version), 0) INTO have FROM "threadline".schema_version;
    ELSIF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'threadline' AND c.relname = 'audit_actions') THEN
        RAISE EXCEPTION 'a table audit_actions that is not threadline''s is in the schema %', 'threadline'
            USING ERRCODE = 'AC001', HINT = 'Name another schema in Options.Schema, or rename that table.';
    END IF;
    IF have > 1 THEN
        RAISE EXCEPTION 'the timeline has schema version %, newer than this one, 1', have
            USING ERRCODE = 'AC001', HINT = 'Upgrade the program.';
    END IF;

    IF have < 1 THEN
        CREATE TABLE "threadline".schema_version (
            version    integer PRIMARY KEY,
            applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
        );
        -- Keys sort by bytes: faster than by language, and a prefix is a range.
        CREATE TABLE "threadline".audit_actions (
            id             uuid PRIMARY KEY,
            name           text COLLATE "C" NOT NULL,
            outcome        text COLLATE "C" NOT NULL CHECK (outcome IN ('success', 'failure', 'error')),
            actor_type     text COLLATE "C",
            actor_id       text COLLATE "C",
            actor_name     text,
            on_behalf_of   text COLLATE "C",
            target_type    text COLLATE "C",
            target_id      text COLLATE "C",
            target_name    text,
            tenant_id      text COLLATE "C",
            request_id     text COLLATE "C",
            correlation_id text COLLATE "C" NOT NULL,
            causation_id   text COLLATE "C",
            job_id         text COLLATE "C",
            trace_parent   text COLLATE "C",
            ip_address     text COLLATE "C",
            user_agent     text,
            reason         text,
            comment        text,
            metadata       jsonb,
            application    text,
            host           text,
            role           text,
            captured       boolean NOT NULL,
            occurred_at    timestamptz NOT NULL,
            recorded_at    timestamptz NOT NULL,
            seq            bigint NOT NULL,
            tx_id          bigint,
            tx_started_at  timestamptz,
            inserted_at    timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
            actor_ref      text COLLATE "C" GENERATED ALWAYS AS
                           (actor_type OPERATOR(pg_catalog.||) coalesce(':' OPERATOR(pg_catalog.||) actor_id, '')) STORED,
            status         text COLLATE "C" GENERATED ALWAYS AS
                           (CASE outcome WHEN 'success' THEN 'ok' ELSE 'error' END) STORED,
            category       text COLLATE "C" GENERATED ALWAYS AS
                           (pg_catalog.regexp_replace(name, '[.][^.]*$', '')) STORED,
            verb           text COLLATE "C" GENERATED ALWAYS AS
                           (substring(name FROM '[^.]*$')) STORED
        );

        -- Every page is newest first, so each index ends in that order and a
        -- page is a walk along it, never a sort of all that matches. The id only
        -- breaks ties of (recorded_at, seq); at sixteen bytes a row, only the
        -- first index has it. With the others, ties are sorted.
        CREATE INDEX audit_actions_time ON "threadline".audit_actions (recorded_at, seq, id);
        CREATE INDEX audit_actions_name ON "threadline".audit_actions (name, recorded_at, seq);
        -- Partial where the column may be null: an app without tenants pays nothing.
        CREATE INDEX audit_actions_actor ON "threadline".audit_actions (actor_ref, recorded_at, seq)
            WHERE actor_ref IS NOT NULL;
        CREATE INDEX audit_actions_target ON "threadline".audit_actions (target_type, target_id, recorded_at, seq)
            WHERE target_type IS NOT NULL;
        CREATE INDEX audit_actions_tenant ON "threadline".audit_actions (tenant_id, recorded_at, seq)
            WHERE tenant_id IS NOT NULL;
        -- A correlation may span a job of many thousand actions, a request has few.
        CREATE INDEX audit_actions_correlation ON "threadline".audit_actions (correlation_id, recorded_at, seq);
        CREATE INDEX audit_actions_request ON "threadline".audit_actions (request_id)
            WHERE request_id IS NOT NULL;
        -- None for outcome: three values, found by walking the time index.

        IF EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                   WHERE n.nspname = 'threadline' AND p.proname IN ('record', 'refuse', 'add')) THEN
            RAISE EXCEPTION 'a function record, refuse or add that is not threadline''s is in the schema %', 'threadline'
                USING ERRCODE = 'AC001', HINT = 'Name another schema in Options.Schema, or rename that function.';
        END IF;
        INSERT INTO "threadline".schema_version (version) VALUES (1);
    END IF;

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
        INSERT INTO "threadline".audit_actions (
            id, name, outcome, actor_type, actor_id, actor_name, on_behalf_of,
            target_type, target_id, target_name, tenant_id, request_id,
            correlation_id, causation_id, job_id, trace_parent, ip_address,
            user_agent, reason, comment, metadata, application, host, role,
            captured, occurred_at, recorded_at, seq, tx_id, tx_started_at)
        SELECT id, name, outcome, actor_type, actor_id, actor_name, on_behalf_of,
            target_type, target_id, target_name, tenant_id, request_id,
            coalesce(correlation_id, id::text), causation_id, job_id, trace_parent, ip_address,
            user_agent, reason, comment, metadata, application, host, role,
            coalesce(captured, false), occurred_at, recorded_at, coalesce(seq, 0), tx_id, tx_started_at
        FROM json_to_recordset(doc) AS entry (
            id uuid, name text, outcome text, actor_type text, actor_id text,
            actor_name text, on_behalf_of text, target_type text, target_id text,
            target_name text, tenant_id text, request_id text, correlation_id text,
            causation_id text, job_id text, trace_parent text, ip_address text,
            user_agent text, reason text, comment text, metadata jsonb,
            application text, host text, role text, captured boolean,
            occurred_at timestamptz, recorded_at timestamptz, seq bigint,
            tx_id bigint, tx_started_at timestamptz)
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
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS fresh = ROW_COUNT;
        RETURN fresh;
    END
    $add$;

    -- The only way to write. It runs as its owner with a fixed search_path,
    -- so that the app's role needs no right on the table, and neither SET
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
        IF getdatabaseencoding() = 'SQL_ASCII' THEN
            PERFORM convert_from(convert_to(doc::text, 'SQL_ASCII'), 'UTF8'); -- an error unless it is UTF-8
        END IF;
        -- A lock on the table itself, as maintenance takes, is waited for.
        LOCK TABLE "threadline".audit_actions IN ROW EXCLUSIVE MODE;
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
