
-- Step 3: who made a transaction, and in which context. See the PostgreSQL schema. Programs of
-- earlier steps do not know it and work on.
CREATE TABLE IF NOT EXISTS main."threadline_audit_contexts" (
    tx_id             INTEGER NOT NULL,
    tx_started_at     TEXT NOT NULL,
    id                TEXT NOT NULL,
    action_id         TEXT,
    actor_type        TEXT,
    actor_id          TEXT,
    actor_name        TEXT,
    on_behalf_of      TEXT,
    tenant_id         TEXT,
    request_id        TEXT,
    correlation_id    TEXT,
    job_id            TEXT,
    ip_address        TEXT,
    user_agent        TEXT,
    application       TEXT,
    host              TEXT,
    role              TEXT,
    events            INTEGER NOT NULL,
    occurred_at       TEXT NOT NULL,
    first_recorded_at TEXT NOT NULL,
    last_recorded_at  TEXT NOT NULL,
    PRIMARY KEY (tx_id, tx_started_at, id)
) WITHOUT ROWID;
DROP VIEW IF EXISTS main."threadline_audit_transactions";
CREATE VIEW main."threadline_audit_transactions" AS
SELECT min(c.id) AS id, c.tx_id AS txid, c.tx_started_at, min(c.occurred_at) AS occurred_at,
    CASE WHEN count(DISTINCT coalesce(c.application, '')) = 1 THEN min(c.application) END AS source,
    CASE WHEN count(DISTINCT coalesce(c.actor_type || ':' || coalesce(c.actor_id, ''), '')) = 1 THEN min(c.actor_type || coalesce(':' || c.actor_id, '')) END AS actor_ref,
    group_concat(DISTINCT coalesce(c.actor_type || coalesce(':' || c.actor_id, ''), 'unattributed')) AS actors,
    min(c.action_id) AS action_id,
    sum(c.events) AS events, min(c.first_recorded_at) AS first_recorded_at, max(c.last_recorded_at) AS last_recorded_at,
    '[' || group_concat(DISTINCT json_patch('{}', json_object(
        'actor_type', c.actor_type, 'actor_id', c.actor_id, 'actor_name', c.actor_name, 'on_behalf_of', c.on_behalf_of, 'tenant_id', c.tenant_id, 'request_id', c.request_id, 'correlation_id', c.correlation_id, 'job_id', c.job_id, 'ip_address', c.ip_address, 'user_agent', c.user_agent, 'application', c.application, 'host', c.host, 'role', c.role))) || ']' AS meta
FROM "threadline_audit_contexts" AS c
GROUP BY c.tx_id, c.tx_started_at;
DROP TRIGGER IF EXISTS main."threadline_record_insert";
CREATE TRIGGER main."threadline_record_insert" INSTEAD OF INSERT ON "threadline_record" BEGIN
    -- Before the actions, while it can be seen which are new.
    INSERT INTO "threadline_audit_contexts" (
        tx_id, tx_started_at, id, action_id, actor_type, actor_id, actor_name, on_behalf_of,
        tenant_id, request_id, correlation_id, job_id, ip_address, user_agent, application, host, role,
        events, occurred_at, first_recorded_at, last_recorded_at)
    SELECT tx_id, tx_started_at, min(id), min(CASE WHEN captured THEN NULL ELSE id END),
        actor_type, actor_id, actor_name, on_behalf_of, tenant_id, request_id, correlation_id, job_id, ip_address, user_agent, application, host, role,
        count(DISTINCT id), min(occurred_at), min(recorded_at), max(recorded_at)
    FROM (SELECT json_extract(value, '$.id') AS id, json_extract(value, '$.tx_id') AS tx_id, json_extract(value, '$.tx_started_at') AS tx_started_at, json_extract(value, '$.captured') AS captured,
            json_extract(value, '$.occurred_at') AS occurred_at, json_extract(value, '$.recorded_at') AS recorded_at, json_extract(value, '$.actor_type') AS actor_type, json_extract(value, '$.actor_id') AS actor_id,
            json_extract(value, '$.actor_name') AS actor_name, json_extract(value, '$.on_behalf_of') AS on_behalf_of, json_extract(value, '$.tenant_id') AS tenant_id, json_extract(value, '$.request_id') AS request_id,
            json_extract(value, '$.correlation_id') AS correlation_id, json_extract(value, '$.job_id') AS job_id, json_extract(value, '$.ip_address') AS ip_address, json_extract(value, '$.user_agent') AS user_agent,
            json_extract(value, '$.application') AS application, json_extract(value, '$.host') AS host, json_extract(value, '$.role') AS role
        FROM json_each(NEW.doc) LIMIT -1) AS e
    WHERE tx_id IS NOT NULL AND tx_started_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "threadline_audit_actions" WHERE id = e.id)
    GROUP BY tx_id, tx_started_at, actor_type, actor_id, actor_name, on_behalf_of, tenant_id, request_id, correlation_id, job_id, ip_address, user_agent, application, host, role
    ON CONFLICT DO NOTHING; -- the actions were purged, and come again
    INSERT INTO "threadline_audit_actions" (
        id, name, outcome, actor_type, actor_id, actor_name, on_behalf_of,
        target_type, target_id, target_name, tenant_id, request_id,
        correlation_id, causation_id, job_id, trace_parent, ip_address,
        user_agent, reason, comment, metadata, application, host, role,
        captured, occurred_at, recorded_at, seq, tx_id, tx_started_at, journal_key)
    SELECT json_extract(value, '$.id'), json_extract(value, '$.name'), json_extract(value, '$.outcome'),
        json_extract(value, '$.actor_type'), json_extract(value, '$.actor_id'), json_extract(value, '$.actor_name'), json_extract(value, '$.on_behalf_of'),
        json_extract(value, '$.target_type'), json_extract(value, '$.target_id'), json_extract(value, '$.target_name'),
        json_extract(value, '$.tenant_id'), json_extract(value, '$.request_id'),
        coalesce(json_extract(value, '$.correlation_id'), json_extract(value, '$.id')), json_extract(value, '$.causation_id'),
        json_extract(value, '$.job_id'), json_extract(value, '$.trace_parent'), json_extract(value, '$.ip_address'),
        json_extract(value, '$.user_agent'), json_extract(value, '$.reason'), json_extract(value, '$.comment'),
        CASE WHEN json_type(value, '$.metadata') IS NOT NULL THEN json_quote(json_extract(value, '$.metadata')) END,
        json_extract(value, '$.application'), json_extract(value, '$.host'), json_extract(value, '$.role'),
        coalesce(json_extract(value, '$.captured'), 0), json_extract(value, '$.occurred_at'), json_extract(value, '$.recorded_at'),
        coalesce(json_extract(value, '$.seq'), 0), json_extract(value, '$.tx_id'), json_extract(value, '$.tx_started_at'), json_extract(value, '$.journal_key')
    FROM json_each(NEW.doc)
    WHERE true
    ON CONFLICT DO NOTHING;
END;
