-- Step 6: VACUUM gives no pages back, in the frame of package pgschema.
DECLARE
	written record;
BEGIN
	-- To give the empty pages at the end of a table back, VACUUM locks it against everybody for as long as it reads them. A capture waits
	-- for no lock: it would lose its change. A table for which somebody has decided otherwise stays as it is.
	FOR written IN SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = {name} AND (c.relname = 'audit_gaps' OR c.relname = 'audit_changes' OR c.oid IN (SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_class r, pg_catalog.pg_partition_tree(r.oid) p WHERE r.relnamespace = n.oid AND r.relname = 'audit_changes'))
			AND c.relkind = 'r' AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
			AND NOT EXISTS (SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) o WHERE o.option_name = 'vacuum_truncate')
	LOOP
		BEGIN
			-- No capture waits for this lock. What has it, such as a VACUUM, may take hours: then the next run sets it.
			EXECUTE pg_catalog.concat('LOCK TABLE ', written.name, ' IN SHARE UPDATE EXCLUSIVE MODE NOWAIT');
			EXECUTE pg_catalog.concat('ALTER TABLE ', written.name, ' SET ({storage})');
		EXCEPTION WHEN lock_not_available THEN
			NULL;
		END;
	END LOOP;
END;
