-- New tables have the rights that the README names and no others: not those that
-- the owner's default privileges have given (ALTER DEFAULT PRIVILEGES).
DO $rights$
DECLARE
	given record;
BEGIN
	FOR given IN SELECT DISTINCT o.what, a.grantee
		FROM (SELECT 'TABLE ' || c.oid::pg_catalog.regclass::text AS what, c.relacl AS acl, c.relowner AS owner FROM pg_catalog.pg_class c
				WHERE c.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = '{schema}')
				AND c.relname IN ('schema_versions', 'audit_events', 'audit_events_seq_seq', 'forwarders', 'failures', 'settled', 'workers', 'purges')
			UNION ALL SELECT 'FUNCTION ' || p.oid::pg_catalog.regprocedure::text, p.proacl, p.proowner FROM pg_catalog.pg_proc p
				WHERE p.pronamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = '{schema}')
				AND p.proname IN ('entries', 'lacking', 'storable', 'refuse', 'excess', 'record', 'register')) o,
			pg_catalog.aclexplode(o.acl) a
		WHERE a.grantee <> o.owner
	LOOP
		EXECUTE 'REVOKE ALL ON ' || given.what || ' FROM '
			|| CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(given.grantee)) END;
	END LOOP;
END
$rights$;
-- Every connection reads it once. A role without USAGE on the schema cannot.
GRANT SELECT ON "{schema}".schema_versions TO PUBLIC;
