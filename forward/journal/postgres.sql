-- The journal's tables, in the frame of package pgschema.
	-- Where the tables are, what follows them brings the functions up to date.
	IF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'audit_events')
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = {name} AND p.proname = 'record') THEN
		RAISE EXCEPTION 'aftercommit: a table audit_events that is not aftercommit''s is in schema %: rename it, or give the journal another schema by Options.Schema', {name}
			USING ERRCODE = 'AC001';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} AND c.relname = 'audit_events') THEN
		CREATE TABLE IF NOT EXISTS {schema}.schema_versions (
			component   text PRIMARY KEY,
			version     integer NOT NULL,
			-- The version of the oldest program that works with these tables, so that
			-- programs of both versions can run while one replaces the other.
			oldest      integer NOT NULL DEFAULT 1,
			migrated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
		);

		CREATE TABLE {schema}.audit_events (
			seq             bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
			id              uuid NOT NULL UNIQUE,
			xid             xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
			tx_started_at   timestamptz NOT NULL DEFAULT pg_catalog.transaction_timestamp(),
			recorded_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			role            text NOT NULL,
			occurred_at     timestamptz NOT NULL,
			action          text NOT NULL,
			outcome         text NOT NULL,
			actor_type      text,
			actor_id        text,
			actor_name      text,
			on_behalf_of    text,
			target_type     text,
			target_id       text,
			target_name     text,
			tenant_id       text,
			request_id      text,
			correlation_id  text,
			causation_id    text,
			job_id          text,
			trace_parent    text,
			ip_address      text,
			user_agent      text,
			reason          text,
			comment         text,
			metadata        jsonb,
			application     text,
			host            text,
			captured        boolean NOT NULL
		);
		CREATE INDEX audit_events_xid_seq ON {schema}.audit_events (xid, seq);

		-- What package relay keeps: how far each forwarder is, what it refused, and who
		-- works.
		CREATE TABLE {schema}.forwarders (
			name          text PRIMARY KEY,
			registered_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			retired_at    timestamptz,
			-- The lease. fence grows with each new holder; a holder that was overtaken
			-- moves nothing any more.
			holder        text,
			lease_until   timestamptz,
			fence         bigint NOT NULL DEFAULT 0,
			-- The cursor. What is visible in done is settled. What is visible in tick
			-- and not in done is being delivered, in the order of seq: settled up to
			-- seq, and nothing of it is beyond high.
			done          pg_snapshot NOT NULL DEFAULT pg_catalog.pg_current_snapshot(),
			tick          pg_snapshot,
			high          bigint NOT NULL DEFAULT 0,
			seq           bigint NOT NULL DEFAULT 0,
			moved_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			-- Where the cursor belongs; snapshots mean nothing in a copy.
			place         text NOT NULL,
			-- Everything up to it is settled, which holds in a copy too.
			safe_seq      bigint NOT NULL DEFAULT 0,
			-- Whatever is not over when all before mark_xid is has a seq beyond mark_seq.
			mark_xid      xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
			mark_seq      bigint NOT NULL DEFAULT 0
		);

		-- Events that a forwarder did not take at first.
		CREATE TABLE {schema}.failures (
			forwarder text NOT NULL,
			event_id  uuid NOT NULL,
			state     text NOT NULL, -- retrying, discarded
			attempts  integer NOT NULL,
			next_at   timestamptz NOT NULL,
			reason    text NOT NULL,
			error     text NOT NULL,
			first_at  timestamptz NOT NULL,
			last_at   timestamptz NOT NULL,
			PRIMARY KEY (forwarder, event_id)
		);
		CREATE INDEX failures_due ON {schema}.failures (forwarder, next_at) WHERE state = 'retrying';

		-- What a sync forwarder accepted within the app's Commit, until its cursor passes.
		CREATE TABLE {schema}.settled (
			forwarder text NOT NULL,
			event_id  uuid NOT NULL,
			PRIMARY KEY (forwarder, event_id)
		);

		-- Processes that take leases, to share them out.
		CREATE TABLE {schema}.workers (
			name       text PRIMARY KEY,
			seen_at    timestamptz NOT NULL,
			-- What it has registered, as JSON; empty if there is nothing to compare.
			forwarders text
		);

		-- Who deleted from the journal, and what.
		CREATE TABLE {schema}.purges (
			id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			purged_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
			purged_by text NOT NULL,
			before    timestamptz NOT NULL,
			events    bigint NOT NULL,
			first_seq bigint,
			last_seq  bigint
		);
	END IF;
