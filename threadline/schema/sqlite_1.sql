-- The timeline store of threadline, for SQLite 3.31 or newer (JSON, generated
-- columns): programs with an older one read none of the file. Store.Migrate runs these very
-- statements where they have not run.
-- Run them once, in a transaction: SQLite has no single statement that could do it all,
-- and tools for migrations open a transaction themselves.

CREATE TABLE main."threadline_schema_version" (
    version    INTEGER PRIMARY KEY,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

-- Times are text of one width, in UTC, to the microsecond: they sort as text.
CREATE TABLE main."threadline_audit_actions" (
    id             TEXT PRIMARY KEY NOT NULL,
    name           TEXT NOT NULL,
    outcome        TEXT NOT NULL CHECK (outcome IN ('success', 'failure', 'error')),
    actor_type     TEXT,
    actor_id       TEXT,
    actor_name     TEXT,
    on_behalf_of   TEXT,
    target_type    TEXT,
    target_id      TEXT,
    target_name    TEXT,
    tenant_id      TEXT,
    request_id     TEXT,
    correlation_id TEXT NOT NULL,
    causation_id   TEXT,
    job_id         TEXT,
    trace_parent   TEXT,
    ip_address     TEXT,
    user_agent     TEXT,
    reason         TEXT,
    comment        TEXT,
    metadata       TEXT,
    application    TEXT,
    host           TEXT,
    role           TEXT,
    captured       INTEGER NOT NULL,
    occurred_at    TEXT NOT NULL,
    recorded_at    TEXT NOT NULL,
    seq            INTEGER NOT NULL,
    tx_id          INTEGER,
    tx_started_at  TEXT,
    inserted_at    TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    actor_ref      TEXT GENERATED ALWAYS AS (actor_type || coalesce(':' || actor_id, '')) VIRTUAL,
    status         TEXT GENERATED ALWAYS AS (CASE outcome WHEN 'success' THEN 'ok' ELSE 'error' END) VIRTUAL,
    category       TEXT GENERATED ALWAYS AS (rtrim(rtrim(name, replace(name, '.', '')), '.')) VIRTUAL,
    verb           TEXT GENERATED ALWAYS AS (substr(name, length(rtrim(name, replace(name, '.', ''))) + 1)) VIRTUAL
);

-- Every page is newest first, so each index ends in that order; see the
-- PostgreSQL schema for why these and no others.
CREATE INDEX main."threadline_audit_actions_time" ON "threadline_audit_actions" (recorded_at, seq, id);
CREATE INDEX main."threadline_audit_actions_name" ON "threadline_audit_actions" (name, recorded_at, seq);
CREATE INDEX main."threadline_audit_actions_actor" ON "threadline_audit_actions" (actor_ref, recorded_at, seq)
    WHERE actor_ref IS NOT NULL;
CREATE INDEX main."threadline_audit_actions_target" ON "threadline_audit_actions" (target_type, target_id, recorded_at, seq)
    WHERE target_type IS NOT NULL;
CREATE INDEX main."threadline_audit_actions_tenant" ON "threadline_audit_actions" (tenant_id, recorded_at, seq)
    WHERE tenant_id IS NOT NULL;
CREATE INDEX main."threadline_audit_actions_correlation" ON "threadline_audit_actions" (correlation_id, recorded_at, seq);
CREATE INDEX main."threadline_audit_actions_request" ON "threadline_audit_actions" (request_id)
    WHERE request_id IS NOT NULL;

-- Entries are written by INSERT INTO this view: an insert that a trigger makes
-- leaves the connection's last_insert_rowid() as it was, and the app may still
-- want to ask for it after its COMMIT. changes() does not survive: it is 0 then.
DROP VIEW IF EXISTS main."threadline_record"; -- left by what drops all tables
CREATE VIEW main."threadline_record" AS SELECT NULL AS doc WHERE false;
INSERT INTO main."threadline_schema_version" (version) VALUES (1);
