	IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'schema_versions') THEN
		RAISE EXCEPTION 'aftercommit: there is no journal in schema % to upgrade: run what journal.Schema returns, or name its schema in Options.Schema', {name}
			USING ERRCODE = 'AC001';
	END IF;
