CREATE TABLE IF NOT EXISTS main.{prefix}schema_versions (
	component   TEXT PRIMARY KEY,
	version     INTEGER NOT NULL,
	-- The version of the oldest program that works with these tables.
	oldest      INTEGER NOT NULL DEFAULT 1,
	migrated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) WITHOUT ROWID;

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

-- What package relay keeps: how far each forwarder is, what it refused, and who
-- works. done is the seq up to which all is settled. A row is inserted in the
-- app's transaction, so WITHOUT ROWID, as above: last_insert_rowid() stays the
-- app's.
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
) WITHOUT ROWID;

CREATE TABLE main.{prefix}purges (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	purged_at TEXT NOT NULL,
	purged_by TEXT NOT NULL,
	before    TEXT NOT NULL,
	events    INTEGER NOT NULL,
	first_seq INTEGER,
	last_seq  INTEGER
);
