CREATE TABLE IF NOT EXISTS main.{prefix}schema_versions (
	component   TEXT PRIMARY KEY,
	version     INTEGER NOT NULL,
	-- The version of the oldest program that works with these tables.
	oldest      INTEGER NOT NULL DEFAULT 1,
	migrated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE main.{prefix}events (
	seq             INTEGER PRIMARY KEY AUTOINCREMENT,
	id              TEXT NOT NULL UNIQUE,
	tx_id           INTEGER NOT NULL,
	tx_started_at   TEXT NOT NULL,
	recorded_at     TEXT NOT NULL,
	occurred_at     TEXT NOT NULL,
	action          TEXT NOT NULL,
	outcome         TEXT NOT NULL,
	actor_type      TEXT,
	actor_id        TEXT,
	actor_name      TEXT,
	on_behalf_of    TEXT,
	target_type     TEXT,
	target_id       TEXT,
	target_name     TEXT,
	tenant_id       TEXT,
	request_id      TEXT,
	correlation_id  TEXT,
	causation_id    TEXT,
	job_id          TEXT,
	trace_parent    TEXT,
	ip_address      TEXT,
	user_agent      TEXT,
	reason          TEXT,
	comment         TEXT,
	metadata        TEXT,
	application     TEXT,
	host            TEXT,
	captured        INTEGER NOT NULL
);

-- Written through a view, because rowids that a trigger sets are forgotten when
-- it ends: the app's last_insert_rowid() stays what it was.
CREATE VIEW main.{prefix}record AS SELECT NULL AS events, NULL AS token, NULL AS now WHERE false;

-- A transaction starts, for its entries, with its first flush. If it is not the
-- first, the last row of the table is its own, since there is one writer.
CREATE TRIGGER main.{prefix}record_insert INSTEAD OF INSERT ON {prefix}record
BEGIN
	INSERT INTO {prefix}events (tx_id, tx_started_at, recorded_at,
		id, occurred_at, action, outcome,
		actor_type, actor_id, actor_name, on_behalf_of,
		target_type, target_id, target_name,
		tenant_id, request_id, correlation_id, causation_id, job_id, trace_parent,
		ip_address, user_agent, reason, comment, metadata,
		application, host, captured)
	SELECT NEW.token,
		coalesce((SELECT tx_started_at FROM (SELECT tx_id, tx_started_at FROM {prefix}events ORDER BY seq DESC LIMIT 1)
			WHERE tx_id = NEW.token), NEW.now),
		NEW.now,
		value ->> 'id', value ->> 'occurred_at', value ->> 'action', value ->> 'outcome',
		value ->> 'actor_type', value ->> 'actor_id', value ->> 'actor_name', value ->> 'on_behalf_of',
		value ->> 'target_type', value ->> 'target_id', value ->> 'target_name',
		value ->> 'tenant_id', value ->> 'request_id', value ->> 'correlation_id',
		value ->> 'causation_id', value ->> 'job_id', value ->> 'trace_parent',
		value ->> 'ip_address', value ->> 'user_agent', value ->> 'reason', value ->> 'comment',
		value ->> 'metadata',
		value ->> 'application', value ->> 'host', coalesce(value ->> 'captured', 0)
	FROM json_each(NEW.events)
	WHERE true
	ORDER BY key
	ON CONFLICT (id) DO NOTHING;
END;

-- What package relay keeps: how far each forwarder is, what it refused, and who
-- works. done is the seq up to which all is settled.
CREATE TABLE main.{prefix}forwarders (
	name          TEXT PRIMARY KEY,
	registered_at TEXT NOT NULL,
	retired_at    TEXT,
	holder        TEXT,
	lease_until   TEXT,
	fence         INTEGER NOT NULL DEFAULT 0,
	done          INTEGER NOT NULL,
	moved_at      TEXT NOT NULL,
	place         TEXT NOT NULL,
	safe_seq      INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE main.{prefix}failures (
	forwarder TEXT NOT NULL,
	event_id  TEXT NOT NULL,
	state     TEXT NOT NULL,
	attempts  INTEGER NOT NULL,
	next_at   TEXT NOT NULL,
	reason    TEXT NOT NULL,
	error     TEXT NOT NULL,
	first_at  TEXT NOT NULL,
	last_at   TEXT NOT NULL,
	PRIMARY KEY (forwarder, event_id)
);

CREATE TABLE main.{prefix}settled (
	forwarder TEXT NOT NULL,
	event_id  TEXT NOT NULL,
	PRIMARY KEY (forwarder, event_id)
);

CREATE TABLE main.{prefix}workers (
	name    TEXT PRIMARY KEY,
	seen_at TEXT NOT NULL
);

CREATE TABLE main.{prefix}purges (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	purged_at TEXT NOT NULL,
	purged_by TEXT NOT NULL,
	before    TEXT NOT NULL,
	events    INTEGER NOT NULL,
	first_seq INTEGER,
	last_seq  INTEGER
);

INSERT INTO main.{prefix}schema_versions (component, version) VALUES ('journal', 1);
