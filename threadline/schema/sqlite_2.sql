
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
    SELECT value ->> 'id', value ->> 'name', value ->> 'outcome',
        value ->> 'actor_type', value ->> 'actor_id', value ->> 'actor_name', value ->> 'on_behalf_of',
        value ->> 'target_type', value ->> 'target_id', value ->> 'target_name',
        value ->> 'tenant_id', value ->> 'request_id',
        coalesce(value ->> 'correlation_id', value ->> 'id'), value ->> 'causation_id',
        value ->> 'job_id', value ->> 'trace_parent', value ->> 'ip_address',
        value ->> 'user_agent', value ->> 'reason', value ->> 'comment', value -> 'metadata',
        value ->> 'application', value ->> 'host', value ->> 'role',
        coalesce(value ->> 'captured', 0), value ->> 'occurred_at', value ->> 'recorded_at',
        coalesce(value ->> 'seq', 0), value ->> 'tx_id', value ->> 'tx_started_at', value ->> 'journal_key'
    FROM json_each(NEW.doc)
    WHERE true
    ON CONFLICT DO NOTHING;
END;
