-- Step 1: the tables, in the frame of package pgschema.
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
END;
