	-- A view calls its functions with the rights of its reader.
	GRANT EXECUTE ON FUNCTION {schema}.unfold(text, text, integer, smallint) TO PUBLIC;
	-- When step 5 is first installed, each role gets the rights on new objects that it has on
	-- the old objects that they replace.
	FOR given IN SELECT DISTINCT CASE WHEN a.grantee = 0::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
		FROM pg_catalog.pg_proc w, pg_catalog.pg_namespace n, pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a
		WHERE n.nspname = {name} AND w.pronamespace = n.oid AND w.proname = 'write' AND w.oid <> ALL (had)
		AND p.pronamespace = n.oid AND p.proname = 'record' AND a.privilege_type = 'EXECUTE' AND a.grantee <> p.proowner
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION {schema}.write(uuid, integer, smallint, text, text, boolean, integer), {schema}.claim(uuid[], integer), {schema}.written(uuid[]), {schema}.acknowledge(text, uuid[]), {schema}.enlist(text, text) TO %s', given.grantee);
	END LOOP;
	-- Row security stays with the old table: what it keeps from a role must not be granted.
	FOR given IN SELECT o.oid FROM pg_catalog.pg_namespace n, pg_catalog.pg_class o, pg_catalog.pg_class f
		WHERE n.nspname = {name} AND o.relnamespace = n.oid AND o.relname = 'audit_events' AND o.relkind = 'r' AND o.relrowsecurity
		AND f.relnamespace = n.oid AND f.relname = 'journal' AND f.oid <> ALL (had)
	LOOP
		RAISE WARNING 'aftercommit: table audit_events in schema % has row security, so its readers are granted nothing on table journal and view journal_events: grant them views of your own', {name};
	END LOOP;
	FOR given IN SELECT DISTINCT t.fresh AS name, a.privilege_type AS privilege, c.list, CASE WHEN a.is_grantable THEN 'WITH GRANT OPTION' END AS option,
			CASE WHEN a.grantee = 0::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
		FROM (VALUES ('audit_events', 'journal'), ('audit_events', 'journal_events'), ('forwarders', 'cursors'), ('failures', 'retries'),
				('settled', 'acknowledged'), ('purges', 'journal_purges')) t (old, fresh),
			pg_catalog.pg_namespace n, pg_catalog.pg_class o, pg_catalog.pg_class f,
			LATERAL (SELECT '' AS list, o.relacl AS acl
				UNION ALL SELECT pg_catalog.concat('(', pg_catalog.quote_ident(k.attname), ')'), k.attacl FROM pg_catalog.pg_attribute k, pg_catalog.pg_attribute v
					WHERE k.attrelid = o.oid AND v.attrelid = f.oid AND v.attname = k.attname) c,
			pg_catalog.aclexplode(c.acl) a
		WHERE n.nspname = {name} AND o.relnamespace = n.oid AND o.relname = t.old AND o.relkind = 'r'
		AND f.relnamespace = n.oid AND f.relname = t.fresh AND f.oid <> ALL (had)
		AND a.grantee <> o.relowner AND (f.relkind = 'r' OR a.privilege_type = 'SELECT') AND NOT (t.old = 'audit_events' AND o.relrowsecurity)
	LOOP
		EXECUTE pg_catalog.format('GRANT %s %s ON {schema}.%I TO %s %s', given.privilege, given.list, given.name, given.grantee, given.option);
	END LOOP;
