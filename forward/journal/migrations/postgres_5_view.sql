-- What people read, of step 5.

-- unfold takes the documents of a row apart, and never fails. It returns as many events as the
-- row says: one of which something cannot be read has NULL there, and where the document is no
-- array of that many members, none has anything. It reads no table, and anyone may call it. It
-- calls nothing in this schema, on which a reader of a view over the view may have no rights.
CREATE OR REPLACE FUNCTION {schema}.unfold(document text, personal text, events integer, format smallint)
RETURNS TABLE (
	ordinal integer, id uuid, occurred_at timestamptz, action text, outcome text,
	actor_type text, actor_id text, actor_name text, on_behalf_of text, target_type text, target_id text, target_name text,
	tenant_id text, request_id text, correlation_id text, causation_id text, job_id text, trace_parent text,
	ip_address text, user_agent text, reason text, comment text, metadata jsonb, application text, host text, captured boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $unfold$
DECLARE
	whole jsonb;
	parts jsonb[];
	persons jsonb[];
	e jsonb;
	p jsonb;
	part text;
	member json;
	decoded jsonb[];
BEGIN
	BEGIN
		whole := CASE WHEN format = 1 THEN document END;
		IF jsonb_array_length(whole) = events THEN
			parts := ARRAY(SELECT jsonb_array_elements(whole));
		END IF;
		whole := personal;
		IF jsonb_array_length(whole) = events THEN
			persons := ARRAY(SELECT jsonb_array_elements(whole));
		END IF;
	EXCEPTION WHEN others THEN
		-- Something in one of them is no JSON, or has an escape of what this database's
		-- encoding has not. The rest is read all the same: such an escape stays as JSON
		-- spells it, such as \u00e9, and what is no JSON is NULL.
		parts := NULL;
		FOREACH part IN ARRAY ARRAY[CASE WHEN format = 1 THEN document END, personal] LOOP
			decoded := '{}';
			BEGIN
				IF json_array_length(part::json) = events THEN
					FOR member IN SELECT json_array_elements(part::json) LOOP
						BEGIN
							decoded := array_append(decoded, member::jsonb);
						EXCEPTION WHEN others THEN
							BEGIN
								decoded := array_append(decoded, regexp_replace(replace(member::text, '\\', '\u005c'), '\\u(?!00[2-7])', '\\\\u', 'g')::jsonb);
							EXCEPTION WHEN others THEN
								decoded := array_append(decoded, NULL);
							END;
						END;
					END LOOP;
				END IF;
			EXCEPTION WHEN others THEN
				decoded := '{}';
			END;
			parts := coalesce(parts, decoded);
			persons := decoded;
		END LOOP;
	END;
	FOR n IN 0 .. events - 1 LOOP
		ordinal := n;
		e := parts[n + 1];
		p := persons[n + 1];
		action := e ->> 'action';
		outcome := e ->> 'outcome';
		actor_type := e #>> '{actor,type}';
		actor_id := e #>> '{actor,id}';
		actor_name := p #>> '{actor,name}';
		on_behalf_of := e #>> '{actor,on_behalf_of}';
		target_type := e #>> '{target,type}';
		target_id := e #>> '{target,id}';
		target_name := p #>> '{target,name}';
		tenant_id := e ->> 'tenant_id';
		request_id := e ->> 'request_id';
		correlation_id := e ->> 'correlation_id';
		causation_id := e ->> 'causation_id';
		job_id := e ->> 'job_id';
		trace_parent := e ->> 'trace_parent';
		ip_address := p ->> 'ip_address';
		user_agent := p ->> 'user_agent';
		reason := e ->> 'reason';
		comment := p ->> 'comment';
		metadata := e -> 'metadata';
		application := e ->> 'application';
		host := e ->> 'host';
		captured := coalesce(e ->> 'captured' = 'true', false);
		id := CASE WHEN e ->> 'id' ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN e ->> 'id' END;
		BEGIN
			occurred_at := CASE WHEN e ->> 'occurred_at' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})$' THEN e ->> 'occurred_at' END;
		EXCEPTION WHEN others THEN
			occurred_at := NULL;
		END;
		RETURN NEXT;
	END LOOP;
END
$unfold$;

-- Where the table of versions before 5 has the name, this is CREATE OR REPLACE VIEW {schema}.journal_events
-- until step 6.
EXECUTE pg_catalog.replace($view$
CREATE OR REPLACE VIEW {schema}.audit_events AS
	SELECT j.key, e.ordinal, e.id, j.xid, j.tx_started_at, j.recorded_at, j.role, e.occurred_at, e.action, e.outcome,
		e.actor_type, e.actor_id, e.actor_name, e.on_behalf_of, e.target_type, e.target_id, e.target_name,
		e.tenant_id, e.request_id, e.correlation_id, e.causation_id, e.job_id, e.trace_parent,
		e.ip_address, e.user_agent, e.reason, e.comment, e.metadata, e.application, e.host, e.captured
	FROM {schema}.journal j CROSS JOIN LATERAL {schema}.unfold(j.document, j.personal, j.events, j.format) e
	WHERE j.events OPERATOR(pg_catalog.>) 0;
COMMENT ON VIEW {schema}.audit_events IS 'The events in the journal, for people who look something up. Each query takes apart all rows of the table journal that it does not leave out by key, xid, tx_started_at, recorded_at or role: only a condition on one of these saves it work. What cannot be read of an event is NULL. To delete, use relay.Store.Purge.';
$view$, 'audit_events', CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = {name} AND c.relname = 'audit_events' AND c.relkind <> 'v') THEN 'journal_events' ELSE 'audit_events' END);
