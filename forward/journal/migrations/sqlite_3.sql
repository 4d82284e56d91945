-- Step 3 on SQLite: the journal keeps a row for each flush. It only adds, so that programs
-- of versions 1 and 2 go on with their own tables beside it.
CREATE TABLE IF NOT EXISTS main.{prefix}schema_versions (
	component   TEXT PRIMARY KEY,
	version     INTEGER NOT NULL,
	-- The version of the oldest program that works with these tables.
	oldest      INTEGER NOT NULL DEFAULT 1,
	migrated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) WITHOUT ROWID;

CREATE TABLE main.{prefix}journal (
	seq             INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of the commits
	-- Made by the client. What reads a row by its key could not name it otherwise.
	key             TEXT NOT NULL UNIQUE CHECK (key GLOB replace('xxxxxxxx-xxxx-[1-9a-f]xxx-xxxx-xxxxxxxxxxxx', 'x', '[0-9a-f]')),
	tx_id           INTEGER NOT NULL,
	tx_started_at   TEXT NOT NULL,
	recorded_at     TEXT NOT NULL,
	events          INTEGER NOT NULL CHECK (typeof(events) = 'integer' AND events BETWEEN 1 AND 1000), -- in the document
	format          INTEGER NOT NULL, -- of the documents
	document        TEXT,
	personal        TEXT -- the fields of persons, which can be erased
);

-- What people read. Where the table of versions before 3 has the prefix's name events,
-- this is beside it. No document makes a query fail: a function is given only what it takes.
-- A row has as many events as it says, without anything where the document is no array of
-- that many members. A program with an older SQLite reads none of the file if there is syntax
-- here that it does not know: the operators -> and ->> came with 3.38.
CREATE VIEW main.{prefix}audit_events AS
	SELECT seq, key, ordinal, json_extract(e, '$.id') AS id, tx_id, tx_started_at, recorded_at,
		json_extract(e, '$.occurred_at') AS occurred_at, json_extract(e, '$.action') AS action, json_extract(e, '$.outcome') AS outcome,
		json_extract(e, '$.actor.type') AS actor_type, json_extract(e, '$.actor.id') AS actor_id, json_extract(p, '$.actor.name') AS actor_name,
		json_extract(e, '$.actor.on_behalf_of') AS on_behalf_of,
		json_extract(e, '$.target.type') AS target_type, json_extract(e, '$.target.id') AS target_id, json_extract(p, '$.target.name') AS target_name,
		json_extract(e, '$.tenant_id') AS tenant_id, json_extract(e, '$.request_id') AS request_id, json_extract(e, '$.correlation_id') AS correlation_id,
		json_extract(e, '$.causation_id') AS causation_id, json_extract(e, '$.job_id') AS job_id, json_extract(e, '$.trace_parent') AS trace_parent,
		json_extract(p, '$.ip_address') AS ip_address, json_extract(p, '$.user_agent') AS user_agent,
		json_extract(e, '$.reason') AS reason, json_extract(p, '$.comment') AS comment,
		CASE WHEN json_type(e, '$.metadata') IS NOT NULL THEN json_quote(json_extract(e, '$.metadata')) END AS metadata,
		json_extract(e, '$.application') AS application, json_extract(e, '$.host') AS host,
		coalesce(json_type(e, '$.captured') = 'true', 0) AS captured
	FROM (SELECT j.seq, j.key, j.tx_id, j.tx_started_at, j.recorded_at, e.key AS ordinal,
			CASE e.type WHEN 'object' THEN e.value END AS e, CASE p.type WHEN 'object' THEN p.value END AS p
		FROM {prefix}journal j
		JOIN json_each(CASE j.events WHEN CASE WHEN j.format = 1 AND json_valid(j.document) THEN json_array_length(j.document) END THEN j.document
			ELSE '[' || substr(replace(hex(zeroblob(j.events)), '00', ',0'), 2) || ']' END) e
		LEFT JOIN json_each(CASE j.events WHEN CASE WHEN json_valid(j.personal) THEN json_array_length(j.personal) END THEN j.personal END) p ON p.key = e.key);

-- What package relay keeps: how far each forwarder is, what it refused, and who
-- works. Everything up to (done, ordinal) is settled. A row is inserted in the
-- app's transaction, so WITHOUT ROWID: last_insert_rowid() stays the app's.
CREATE TABLE main.{prefix}cursors (
	name          TEXT PRIMARY KEY,
	registered_at TEXT NOT NULL,
	retired_at    TEXT,
	holder        TEXT,
	lease_until   TEXT,
	fence         INTEGER NOT NULL DEFAULT 0,
	done          INTEGER NOT NULL, -- the seq of a row
	ordinal       INTEGER NOT NULL DEFAULT 2147483647, -- in that row
	moved_at      TEXT NOT NULL,
	place         TEXT NOT NULL,
	safe_seq      INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- What package relay writes over the app's connection, after its COMMIT. Rows of
-- tables WITHOUT ROWID leave last_insert_rowid() as it was, for which the app may
-- still want to ask.
CREATE TABLE main.{prefix}retries (
	forwarder TEXT NOT NULL,
	key       TEXT NOT NULL,
	ordinal   INTEGER NOT NULL,
	event_id  TEXT,
	state     TEXT NOT NULL,
	attempts  INTEGER NOT NULL,
	next_at   TEXT NOT NULL,
	reason    TEXT NOT NULL,
	error     TEXT NOT NULL,
	first_at  TEXT NOT NULL,
	last_at   TEXT NOT NULL,
	PRIMARY KEY (forwarder, key, ordinal)
) WITHOUT ROWID;
CREATE INDEX main.{prefix}retries_due ON {prefix}retries (forwarder, next_at, key, ordinal) WHERE state = 'retrying';

CREATE TABLE main.{prefix}acknowledged (
	forwarder TEXT NOT NULL,
	key       TEXT NOT NULL,
	ordinal   INTEGER NOT NULL,
	PRIMARY KEY (forwarder, key, ordinal)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS main.{prefix}workers (
	name    TEXT PRIMARY KEY,
	seen_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE main.{prefix}journal_purges (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	purged_at TEXT NOT NULL,
	purged_by TEXT NOT NULL,
	before    TEXT NOT NULL,
	events    INTEGER NOT NULL,
	first_key TEXT,
	last_key  TEXT
);

-- Programs before version 3 need tables that are not made here. The row is missing in a fresh
-- database, and where all tables were emptied.
INSERT INTO main.{prefix}schema_versions (component, version, oldest)
VALUES ('journal', 3, CASE WHEN EXISTS (SELECT 1 FROM main.sqlite_master WHERE name = '{prefix}events') THEN 1 ELSE 3 END)
ON CONFLICT (component) DO UPDATE SET version = 3, migrated_at = CURRENT_TIMESTAMP;
