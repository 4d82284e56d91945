
-- Step 2: the column journal_key. Programs of step 1 do not know it and work on, so
-- the version stays 1.
ALTER TABLE main."threadline_audit_actions" ADD COLUMN journal_key TEXT;
DROP TRIGGER IF EXISTS main."threadline_record_insert";
CREATE TRIGGER main."threadline_record_insert" INSTEAD OF INSERT ON "threadline_record" BEGIN
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
