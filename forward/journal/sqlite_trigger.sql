-- How events are written, in this version. Run on an older one it replaces it.

-- A transaction starts, for its entries, with its first flush. If it is not the
-- first, the last row of the table is its own, since there is one writer.
DROP TRIGGER IF EXISTS main.{prefix}record_insert;
CREATE TRIGGER main.{prefix}record_insert INSTEAD OF INSERT ON {prefix}record
BEGIN
	INSERT INTO {prefix}events (tx_id, tx_started_at, recorded_at,
		id, occurred_at, action, outcome,
		actor_type, actor_id, actor_name, on_behalf_of,
		target_type, target_id, target_name,
		tenant_id, request_id, correlation_id, causation_id, job_id, trace_parent,
		ip_address, user_agent, reason, comment, metadata,
		application, host, captured)
	SELECT NEW.token,
		coalesce((SELECT tx_started_at FROM (SELECT tx_id, tx_started_at FROM {prefix}events ORDER BY seq DESC LIMIT 1)
			WHERE tx_id = NEW.token), NEW.now),
		NEW.now,
		value ->> 'id', value ->> 'occurred_at', value ->> 'action', value ->> 'outcome',
		value ->> 'actor_type', value ->> 'actor_id', value ->> 'actor_name', value ->> 'on_behalf_of',
		value ->> 'target_type', value ->> 'target_id', value ->> 'target_name',
		value ->> 'tenant_id', value ->> 'request_id', value ->> 'correlation_id',
		value ->> 'causation_id', value ->> 'job_id', value ->> 'trace_parent',
		value ->> 'ip_address', value ->> 'user_agent', value ->> 'reason', value ->> 'comment',
		value ->> 'metadata',
		value ->> 'application', value ->> 'host', coalesce(value ->> 'captured', 0)
	FROM json_each(NEW.events)
	WHERE true
	ORDER BY key
	ON CONFLICT (id) DO NOTHING;

	-- The same event again is harmless: a write may be repeated when its answer
	-- was lost. Another one would be missing without a word. A captured one never
	-- fails the app, and its ID is not the app's choice.
	SELECT RAISE(ABORT, 'aftercommit: the journal has another event with the ID of one of these: leave Event.ID empty, or give each event an ID of its own')
	WHERE changes() < json_array_length(NEW.events) AND EXISTS (
		SELECT 1 FROM json_each(NEW.events) JOIN {prefix}events e ON e.id = value ->> 'id'
		WHERE NOT coalesce(value ->> 'captured', 0) AND (e.occurred_at, e.action, e.outcome,
				e.actor_type, e.actor_id, e.actor_name, e.on_behalf_of,
				e.target_type, e.target_id, e.target_name,
				e.tenant_id, e.request_id, e.correlation_id, e.causation_id, e.job_id, e.trace_parent,
				e.ip_address, e.user_agent, e.reason, e.comment, e.metadata,
				e.application, e.host, e.captured)
			IS NOT (value ->> 'occurred_at', value ->> 'action', value ->> 'outcome',
				value ->> 'actor_type', value ->> 'actor_id', value ->> 'actor_name', value ->> 'on_behalf_of',
				value ->> 'target_type', value ->> 'target_id', value ->> 'target_name',
				value ->> 'tenant_id', value ->> 'request_id', value ->> 'correlation_id',
				value ->> 'causation_id', value ->> 'job_id', value ->> 'trace_parent',
				value ->> 'ip_address', value ->> 'user_agent', value ->> 'reason', value ->> 'comment',
				value ->> 'metadata',
				value ->> 'application', value ->> 'host', coalesce(value ->> 'captured', 0)));
END;

INSERT INTO main.{prefix}schema_versions (component, version) VALUES ('journal', 2)
ON CONFLICT (component) DO UPDATE SET version = excluded.version, migrated_at = CURRENT_TIMESTAMP;
