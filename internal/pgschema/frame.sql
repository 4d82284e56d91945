DO $install$
DECLARE
	had oid[];
	made boolean := false;
	given record;
	-- Functions here run as their owner, and use the tables and the other functions.
	keeper oid;
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
	keeper := coalesce((SELECT c.relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = {name} AND c.relname = {table}),
		(SELECT r.oid FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
			WHERE n.nspname = {name} AND NOT r.rolsuper AND r.rolname <> 'pg_database_owner'),
		(SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user));
{body}
	-- What a superuser or a member of the owner's role has made here, now or by an older
	-- script, must not stay theirs: the owner's functions could not use it, and would run
	-- with a superuser's rights.
	FOR given IN SELECT o.kind, o.name
		FROM (SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::pg_catalog.regclass::pg_catalog.text, c.relowner
				FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = {name} AND (c.relkind = 'r' OR c.relkind = 'p' OR c.relkind = 'v') AND c.relname = ANY ({ours})
			UNION ALL SELECT 'FUNCTION', p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner
				FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
				WHERE n.nspname = {name} AND p.proname = ANY ({ours})) o (kind, name, owner)
		WHERE o.owner <> keeper AND pg_catalog.pg_has_role(o.owner, keeper, 'MEMBER')
	LOOP
		EXECUTE pg_catalog.format('ALTER %s %s OWNER TO %I', given.kind, given.name, pg_catalog.pg_get_userbyid(keeper));
	END LOOP;
	-- A function that has lost its rights, as by pg_dump --no-acl, is PUBLIC's to execute.
	-- Nobody has chosen that.
	FOR given IN SELECT pg_catalog.string_agg(p.oid::pg_catalog.regprocedure::pg_catalog.text, ', ' ORDER BY p.oid::pg_catalog.regprocedure::pg_catalog.text) AS names
		FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = {name} AND p.oid = ANY (had) AND p.proname = ANY ({definers}) AND p.prosecdef AND p.proacl IS NULL HAVING pg_catalog.count(*) > 0
	LOOP
		RAISE WARNING '{program}: the rights on functions in schema % were lost, as by pg_dump --no-acl, so that every role could execute %: only their owner can from now on; grant EXECUTE on them again to the roles that need it', {name}, given.names;
	END LOOP;
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
				WHERE n.nspname = {name} AND (p.oid <> ALL (had) OR p.proname = ANY ({definers}) AND p.prosecdef AND p.proacl IS NULL)) o (kind, name, acl, owner),
			pg_catalog.aclexplode(o.acl) a
		WHERE a.grantee <> o.owner
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s', given.kind, given.name, given.grantee);
	END LOOP;
{after}
	FOR given IN SELECT pg_catalog.string_agg(p.oid::pg_catalog.regprocedure::pg_catalog.text, ', ' ORDER BY p.oid::pg_catalog.regprocedure::pg_catalog.text) AS names
		FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = {name} AND p.proname = ANY ({definers}) AND p.prosecdef
		AND EXISTS (SELECT FROM pg_catalog.aclexplode(p.proacl) a WHERE a.grantee = 0::pg_catalog.oid AND a.privilege_type = 'EXECUTE') HAVING pg_catalog.count(*) > 0
	LOOP
		RAISE WARNING '{program}: PUBLIC may execute % in schema %, so that every role which may use the schema can write there: REVOKE EXECUTE ON FUNCTION % FROM PUBLIC', given.names, {name}, given.names;
	END LOOP;
	PERFORM pg_catalog.set_config('lock_timeout', before, true); -- for what follows in the same transaction
EXCEPTION WHEN lock_not_available THEN
	RAISE EXCEPTION '{program}: another session, an open transaction for instance, holds a lock on what is in schema %: run this again when it is done: %', {name}, SQLERRM
		USING ERRCODE = 'lock_not_available';
WHEN insufficient_privilege THEN
	-- PostgreSQL's own error names neither this role nor those that may.
	SELECT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(o.owner)) AS owner,
		pg_catalog.concat(o.what, CASE WHEN o.remedy IS NOT NULL
			THEN pg_catalog.format(', or run as that role: %s', pg_catalog.string_agg(o.remedy, '; ') OVER (PARTITION BY o.rank, o.owner)) END) AS what
	INTO given
	FROM (SELECT 1, c.oid::pg_catalog.regclass::pg_catalog.text, c.relowner,
				CASE WHEN c.relowner <> keeper THEN pg_catalog.format('ALTER TABLE %s OWNER TO %I', c.oid::pg_catalog.regclass, pg_catalog.pg_get_userbyid(keeper)) END
			FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = ANY ({ours})
		UNION ALL SELECT 1, p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner,
				CASE WHEN p.proowner <> keeper THEN pg_catalog.format('ALTER FUNCTION %s OWNER TO %I', p.oid::pg_catalog.regprocedure, pg_catalog.pg_get_userbyid(keeper)) END
			FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = {name} AND p.proname = ANY ({ours})
		UNION ALL SELECT 2, pg_catalog.format('schema %I', n.nspname), CASE pg_catalog.pg_get_userbyid(n.nspowner) WHEN 'pg_database_owner' THEN d.datdba ELSE n.nspowner END,
				CASE WHEN NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') OR NOT pg_catalog.has_schema_privilege(n.oid, 'CREATE')
					THEN pg_catalog.format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', n.nspname, current_user) END
			FROM pg_catalog.pg_namespace n, pg_catalog.pg_database d WHERE n.nspname = {name} AND d.datname = pg_catalog.current_database()
		UNION ALL SELECT 3, pg_catalog.format('database %I', d.datname), d.datdba, pg_catalog.format('GRANT CREATE ON DATABASE %I TO %I', d.datname, current_user)
			FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) o (rank, what, owner, remedy)
	WHERE o.rank > 1 OR NOT pg_catalog.pg_has_role(o.owner, 'USAGE')
	ORDER BY o.rank, o.what LIMIT 1;
	RAISE EXCEPTION '{program}: %, for role %: run this as role %, which owns %', SQLERRM, pg_catalog.quote_ident(current_user), given.owner, given.what
		USING ERRCODE = 'insufficient_privilege';
END
$install$;
