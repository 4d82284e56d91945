DO $install$
DECLARE
	had oid[];
	made boolean := false;
	given record;
	before text := pg_catalog.current_setting('lock_timeout');
BEGIN
	-- Another session that does the same is worth waiting for; a lock that the app holds
	-- is not, since the app's own statements queue behind a session that waits for it.
	PERFORM pg_catalog.set_config('lock_timeout', '15s', true);
	PERFORM pg_catalog.pg_advisory_xact_lock({lock});
	PERFORM pg_catalog.set_config('lock_timeout', '2s', true);
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
	PERFORM pg_catalog.set_config('lock_timeout', before, true); -- for what follows in the same transaction
EXCEPTION WHEN insufficient_privilege THEN
	-- PostgreSQL's own error names neither this role nor those that may.
	SELECT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(o.owner)) AS owner,
		pg_catalog.concat(o.what, CASE WHEN o.rights <> '' THEN pg_catalog.format(', or run as that role: GRANT %s TO %I', o.rights, current_user) END) AS what
	INTO given
	FROM (SELECT 1, c.oid::pg_catalog.regclass::pg_catalog.text, c.relowner, ''
			FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name}
		UNION ALL SELECT 1, p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner, ''
			FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = {name}
		UNION ALL SELECT 2, pg_catalog.format('schema %I', n.nspname), n.nspowner, pg_catalog.format('USAGE, CREATE ON SCHEMA %I', n.nspname)
			FROM pg_catalog.pg_namespace n WHERE n.nspname = {name}
		UNION ALL SELECT 3, pg_catalog.format('database %I', d.datname), d.datdba, pg_catalog.format('CREATE ON DATABASE %I', d.datname)
			FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) o (rank, what, owner, rights)
	WHERE o.rank > 1 OR NOT pg_catalog.pg_has_role(o.owner, 'USAGE')
	ORDER BY o.rank LIMIT 1;
	RAISE EXCEPTION '{program}: %, for role %: run this as role %, which owns %', SQLERRM, pg_catalog.quote_ident(current_user), given.owner, given.what
		USING ERRCODE = 'insufficient_privilege';
END
$install$;
