	-- CREATE SCHEMA IF NOT EXISTS asks for the right to create even where it creates
	-- nothing.
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = {name}) THEN
		CREATE SCHEMA {schema};
		made := true;
	END IF;
	-- What others have put there could run with this role's rights, or be changed by
	-- them later.
	-- ALTER TABLE takes a column's sequence with it, and refuses to give it away alone.
	FOR given IN SELECT pg_catalog.array_agg(o.kind ORDER BY o.rank, o.kind, o.name) AS kinds,
			pg_catalog.array_agg(o.name ORDER BY o.rank, o.kind, o.name) AS names,
			pg_catalog.array_agg(pg_catalog.quote_ident(r.rolname) ORDER BY o.rank, o.kind, o.name) AS owners,
			pg_catalog.string_agg(pg_catalog.format('ALTER %s %s OWNER TO %I', o.kind, o.name, current_user), '; ' ORDER BY o.rank, o.kind, o.name) AS remedy
		FROM (SELECT 1, 'SCHEMA', pg_catalog.quote_ident(n.nspname), CASE pg_catalog.pg_get_userbyid(n.nspowner) WHEN 'pg_database_owner' THEN d.datdba ELSE n.nspowner END
				FROM pg_catalog.pg_namespace n, pg_catalog.pg_database d WHERE n.nspname = {name} AND d.datname = pg_catalog.current_database()
			UNION ALL SELECT 2, CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, c.oid::pg_catalog.regclass::pg_catalog.text, c.relowner
				FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = {name} AND c.relkind <> 'i' AND c.relkind <> 'I'
				AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
					AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND (d.deptype = 'a' OR d.deptype = 'i')))
			UNION ALL SELECT 3, 'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner
				FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
				WHERE n.nspname = {name}) o (rank, kind, name, owner)
			JOIN pg_catalog.pg_roles r ON r.oid = o.owner
		WHERE NOT r.rolsuper AND r.rolname <> current_user
			AND ((SELECT m.rolsuper FROM pg_catalog.pg_roles m WHERE m.rolname = current_user) OR NOT pg_catalog.pg_has_role(r.oid, 'MEMBER'))
		HAVING pg_catalog.count(*) > 0
	LOOP
		RAISE EXCEPTION '{program}: % % belongs to role %, and this is run as role %: drop it if role % is not to be trusted; else run this as role %, or give all in the schema to this one: %',
				pg_catalog.lower(given.kinds[1]), given.names[1], given.owners[1], pg_catalog.quote_ident(current_user), given.owners[1], given.owners[1], given.remedy
			USING ERRCODE = 'AC001';
	END LOOP;
	FOR given IN SELECT DISTINCT CASE WHEN a.grantee = 0::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
		FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
		WHERE n.nspname = {name} AND NOT made AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
	LOOP
		RAISE WARNING '{program}: % may create objects in schema %, and so change what programs do there: REVOKE CREATE ON SCHEMA % FROM %', given.grantee, {name}, pg_catalog.quote_ident({name}), given.grantee;
	END LOOP;
