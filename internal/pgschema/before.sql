	-- CREATE SCHEMA IF NOT EXISTS asks for the right to create even where it creates
	-- nothing.
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = {name}) THEN
		CREATE SCHEMA {schema};
		made := true;
	END IF;
	-- What others have put there could run with this role's rights, or be changed by
	-- them later.
	IF EXISTS (SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles o ON true WHERE n.nspname = {name}
			AND (o.oid = n.nspowner OR o.oid IN (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid)
				OR o.oid IN (SELECT p.proowner FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid))
			AND NOT o.rolsuper AND o.rolname <> current_user
			AND ((SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) OR NOT pg_catalog.pg_has_role(o.oid, 'MEMBER'))) THEN
		RAISE EXCEPTION '{program}: schema %, or something in it, belongs to another role than %: drop it if that role is not to be trusted; else run this as that role, or give the schema and all in it to this one', {name}, current_user
			USING ERRCODE = 'AC001';
	END IF;
	FOR given IN SELECT DISTINCT CASE WHEN a.grantee = 0::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
		FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
		WHERE n.nspname = {name} AND NOT made AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
	LOOP
		RAISE WARNING '{program}: % may create objects in schema %, and so change what programs do there: REVOKE CREATE ON SCHEMA % FROM %', given.grantee, {name}, pg_catalog.quote_ident({name}), given.grantee;
	END LOOP;
