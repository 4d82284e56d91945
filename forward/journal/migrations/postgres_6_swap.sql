	-- Step 6 on PostgreSQL, which an operator runs: the table of earlier versions makes room for
	-- the view. Programs of these versions are refused from then on.
	IF NOT EXISTS (SELECT FROM {schema}.schema_versions v WHERE v.component = 'journal' AND v.version >= 5) THEN
		RAISE EXCEPTION 'aftercommit: the journal in schema % has no rows for flushes yet: run what journal.Upgrade returns, and replace all programs, before this', {name}
			USING ERRCODE = 'AC001';
	END IF;
<<step>>
BEGIN
	EXIT step WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = {name} AND (c.relname = 'audit_events' OR c.relname = 'audit_events_before') AND c.relkind = 'r'); -- no earlier version has been here
	IF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'audit_events' AND c.relkind = 'r') THEN
		LOCK TABLE {schema}.audit_events IN ACCESS EXCLUSIVE MODE;
		FOR given IN SELECT pg_catalog.max(e.recorded_at) AS newest FROM {schema}.audit_events e HAVING pg_catalog.max(e.recorded_at) > pg_catalog.now() - interval '1 hour' LOOP
			RAISE EXCEPTION 'aftercommit: a program of an earlier version has written to table audit_events in schema % at %: replace all such programs, and run this an hour later', {name}, given.newest
				USING ERRCODE = 'AC001';
		END LOOP;
		-- Step 3 of the upgrade drops these two tables. Where that was done too early, nothing is
		-- left to ask, and this step is still needed.
		IF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'forwarders' AND c.relkind = 'r') THEN
			LOCK TABLE {schema}.forwarders IN ACCESS EXCLUSIVE MODE;
			FOR given IN SELECT f.name, f.holder, f.lease_until FROM {schema}.forwarders f WHERE f.lease_until > pg_catalog.clock_timestamp() ORDER BY f.name LOOP
				RAISE EXCEPTION 'aftercommit: process % of an earlier version delivers to forwarder % until %: replace it before this or, if it has ended, wait until then', given.holder, given.name, given.lease_until
					USING ERRCODE = 'AC001';
			END LOOP;
			FOR given IN SELECT f.name FROM {schema}.forwarders f WHERE f.retired_at IS NULL
				AND EXISTS (SELECT FROM {schema}.audit_events e WHERE NOT pg_catalog.pg_visible_in_snapshot(e.xid, f.done)) ORDER BY f.name
			LOOP
				RAISE EXCEPTION 'aftercommit: forwarder % has not got all that is in table audit_events in schema %: run a relay for it, or retire it (relay.Store.Retire), before this', given.name, {name}
					USING ERRCODE = 'AC001';
			END LOOP;
			IF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'failures' AND c.relkind = 'r') THEN
				FOR given IN SELECT f.name FROM {schema}.forwarders f WHERE f.retired_at IS NULL
					AND EXISTS (SELECT FROM {schema}.failures x WHERE x.forwarder = f.name) ORDER BY f.name
				LOOP
					RAISE EXCEPTION 'aftercommit: forwarder % has not got all that is in table audit_events in schema %: run a relay for it, or retire it (relay.Store.Retire), before this', given.name, {name}
						USING ERRCODE = 'AC001';
				END LOOP;
			END IF;
		END IF;
		-- Views, publications, foreign keys and triggers refer to the table by OID, so they
		-- stay with it.
		FOR given IN SELECT CASE WHEN r.rulename = '_RETURN' THEN pg_catalog.concat('view ', r.ev_class::pg_catalog.regclass) ELSE pg_catalog.concat('rule ', pg_catalog.quote_ident(r.rulename)) END AS what
				FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
				WHERE d.refobjid = '{schema}.audit_events'::pg_catalog.regclass
			UNION SELECT pg_catalog.concat('publication ', pg_catalog.quote_ident(p.pubname)) FROM pg_catalog.pg_publication_rel l JOIN pg_catalog.pg_publication p ON p.oid = l.prpubid
				WHERE l.prrelid = '{schema}.audit_events'::pg_catalog.regclass
			UNION SELECT pg_catalog.concat('foreign key ', pg_catalog.quote_ident(k.conname), ' of ', k.conrelid::pg_catalog.regclass) FROM pg_catalog.pg_constraint k
				WHERE k.confrelid = '{schema}.audit_events'::pg_catalog.regclass
			UNION SELECT pg_catalog.concat('policy ', pg_catalog.quote_ident(y.polname)) FROM pg_catalog.pg_policy y WHERE y.polrelid = '{schema}.audit_events'::pg_catalog.regclass
			UNION SELECT pg_catalog.concat('inheriting table ', i.inhrelid::pg_catalog.regclass) FROM pg_catalog.pg_inherits i WHERE i.inhparent = '{schema}.audit_events'::pg_catalog.regclass
			UNION SELECT pg_catalog.concat('function ', f.oid::pg_catalog.regprocedure)
				FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc f ON f.oid = d.objid AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
				JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
				WHERE n.nspname <> {name} AND (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = '{schema}.audit_events'::pg_catalog.regclass
					OR d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid IN (SELECT c.reltype FROM pg_catalog.pg_class c WHERE c.oid = '{schema}.audit_events'::pg_catalog.regclass))
			UNION SELECT pg_catalog.concat('trigger ', pg_catalog.quote_ident(t.tgname)) FROM pg_catalog.pg_trigger t
				WHERE t.tgrelid = '{schema}.audit_events'::pg_catalog.regclass AND NOT t.tgisinternal
		LOOP
			RAISE WARNING 'aftercommit: % is of the table that is named audit_events_before from now on, which gets no more events', given.what;
		END LOOP;
		ALTER TABLE {schema}.audit_events RENAME TO audit_events_before;
		ALTER VIEW {schema}.journal_events RENAME TO audit_events;
		FOR given IN SELECT DISTINCT l.list, CASE WHEN a.is_grantable THEN 'WITH GRANT OPTION' END AS option,
				CASE WHEN a.grantee = 0::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
			FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
				LATERAL (SELECT '' AS list, c.relacl AS acl
					UNION ALL SELECT pg_catalog.concat('(', pg_catalog.quote_ident(k.attname), ')'), k.attacl FROM pg_catalog.pg_attribute k, pg_catalog.pg_attribute v
						WHERE k.attrelid = c.oid AND v.attrelid = '{schema}.audit_events'::pg_catalog.regclass AND v.attname = k.attname) l,
				pg_catalog.aclexplode(l.acl) a
			WHERE n.nspname = {name} AND c.relname = 'audit_events_before' AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND NOT c.relrowsecurity
		LOOP
			EXECUTE pg_catalog.format('GRANT SELECT %s ON {schema}.audit_events TO %s %s', given.list, given.grantee, given.option);
		END LOOP;
	END IF;

-- entries reads events of earlier versions by id, for jobs that a queue still has.
CREATE OR REPLACE FUNCTION {schema}.entries(ids uuid[])
RETURNS SETOF {schema}.audit_events_before
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_bitmapscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off
SET seq_page_cost = 1 SET random_page_cost = 4 SET cpu_tuple_cost = 0.01 SET cpu_index_tuple_cost = 0.005 SET cpu_operator_cost = 0.0025 SET jit = off
AS $entries$
	SELECT * FROM {schema}.audit_events_before WHERE id = ANY (ids)
$entries$;

-- record is what programs of earlier versions call.
CREATE OR REPLACE FUNCTION {schema}.record(events json, token bigint, own boolean, wait_ms integer)
RETURNS SETOF integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $record$
BEGIN
	RAISE EXCEPTION 'aftercommit: this program is of a version that can no longer write to the journal: build it with a newer aftercommit'
		USING ERRCODE = 'AC001';
END
$record$;

UPDATE {schema}.schema_versions v SET version = greatest(v.version, 6), oldest = 5, migrated_at = pg_catalog.clock_timestamp() WHERE v.component = 'journal';
END step;
