DO $install$
DECLARE
	had oid[];
	made boolean := false;
	given record;
BEGIN
{before}
	had := ARRAY(SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name}
		UNION ALL SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = {name});
{body}
	-- What is new has the rights that are granted on it below and no others: not those
	-- that the owner's default privileges have given (ALTER DEFAULT PRIVILEGES).
	FOR given IN SELECT DISTINCT o.kind, o.name, CASE WHEN a.grantee = 0::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
		FROM (SELECT 'SCHEMA', pg_catalog.quote_ident(n.nspname), n.nspacl, n.nspowner
				FROM pg_catalog.pg_namespace n WHERE n.nspname = {name} AND made
			UNION ALL SELECT 'TABLE', c.oid::pg_catalog.regclass::pg_catalog.text, c.relacl, c.relowner
				FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = {name} AND c.oid <> ALL (had)
			UNION ALL SELECT 'FUNCTION', p.oid::pg_catalog.regprocedure::pg_catalog.text, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)), p.proowner
				FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
				WHERE n.nspname = {name} AND p.oid <> ALL (had)) o (kind, name, acl, owner),
			pg_catalog.aclexplode(o.acl) a
		WHERE a.grantee <> o.owner
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s', given.kind, given.name, given.grantee);
	END LOOP;
{after}
END
$install$;
