-- What package relay writes over the app's connection, after its COMMIT. Rows of
-- tables WITHOUT ROWID leave last_insert_rowid() as it was, for which the app may
-- still want to ask.
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
) WITHOUT ROWID;

CREATE TABLE main.{prefix}settled (
	forwarder TEXT NOT NULL,
	event_id  TEXT NOT NULL,
	PRIMARY KEY (forwarder, event_id)
) WITHOUT ROWID;

CREATE TABLE main.{prefix}workers (
	name    TEXT PRIMARY KEY,
	seen_at TEXT NOT NULL
) WITHOUT ROWID;
