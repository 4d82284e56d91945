-- Row changes on SQLite 3.37 or newer (pragma_table_list). Installer.Migrate runs it again and again, and
-- makes what is missing.

-- The transaction that is writing, by the number under which its events go to the journal. The
-- driver sets it before a transaction's first write, and takes it away before the COMMIT, so that no
-- other connection ever sees one. Without the driver there is none, because SQLite numbers no
-- transactions. All histories in a file share it.
CREATE TABLE IF NOT EXISTS main."aftercommit_transaction" (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    tx_id    INTEGER
);
INSERT INTO main."aftercommit_transaction" (only_one) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM main."aftercommit_transaction");

-- The driver writes it through a table in which no row ever is: what its trigger writes is not in the app's changes(),
-- and leaves its last_insert_rowid(). It is no view, because what drops the views of a database and makes them again,
-- as PocketBase does in the middle of a transaction, does not make their triggers.
CREATE TABLE IF NOT EXISTS main."aftercommit_transaction_write" (
    tx_id INTEGER PRIMARY KEY,
    CONSTRAINT "aftercommit_transaction_write" CHECK (0) -- without the trigger nothing is written
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS main."aftercommit_transaction_write_insert" BEFORE INSERT ON "aftercommit_transaction_write"
BEGIN
    UPDATE "aftercommit_transaction" SET tx_id = NEW.tx_id;
    SELECT RAISE(IGNORE);
END;

-- How a captured table was made when its capture was planned.
CREATE TABLE IF NOT EXISTS main."threadline_audit_shapes" (
    id       INTEGER NOT NULL, -- a digest of the rest
    table_id INTEGER NOT NULL,
    shape    TEXT NOT NULL,
    made_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    PRIMARY KEY (table_id, id)
) WITHOUT ROWID;

-- Each step of a plan notes what it has captured.
CREATE TABLE IF NOT EXISTS main."threadline_audit_captures" (
    table_id   INTEGER NOT NULL, -- stays the same when the table is renamed
    number     INTEGER NOT NULL, -- of the note
    noted_at   TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    table_name TEXT NOT NULL,
    columns    TEXT NOT NULL,    -- all of the table's, in order
    uniques    TEXT NOT NULL,    -- its unique indexes
    hidden     TEXT NOT NULL,    -- what was masked and excluded since the last plan, also of columns that are gone
    shape_id   INTEGER,          -- NULL: the capture was removed
    resumed    INTEGER NOT NULL, -- 1: triggers were missing: the table was made again, or they were dropped; 2: they are dropped for DDL, in this transaction
    PRIMARY KEY (table_id, number)
) WITHOUT ROWID;

-- One row is one change of one row. There is one writer at a time, so that seq is the order of
-- the commits, and within a transaction that of its writes.
CREATE TABLE IF NOT EXISTS main."threadline_audit_changes" (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    tx_id       INTEGER,          -- NULL: a program without the driver has made it
    captured_at TEXT NOT NULL,
    table_id    INTEGER NOT NULL,
    shape_id    INTEGER NOT NULL,
    op          TEXT NOT NULL,    -- I, U, D
    key         TEXT,             -- the key as the text of a row, after the change; NULL without one
    former_key  TEXT,             -- and before, where it is another
    held,       -- not NULL: no change, but a row that one which is being written may replace; which row
    held_for TEXT -- of a held row: the values of the row being written by which they conflict; '' if they may not be kept, NULL if both have one rowid
);
CREATE INDEX IF NOT EXISTS main."threadline_audit_changes_row" ON "threadline_audit_changes" (table_id, key, seq);
CREATE INDEX IF NOT EXISTS main."threadline_audit_changes_former" ON "threadline_audit_changes" (table_id, former_key, seq) WHERE former_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS main."threadline_audit_changes_tx" ON "threadline_audit_changes" (tx_id, seq) WHERE tx_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS main."threadline_audit_changes_captured" ON "threadline_audit_changes" (table_id, captured_at) WHERE held IS NULL;
CREATE INDEX IF NOT EXISTS main."threadline_audit_changes_held" ON "threadline_audit_changes" (table_id, held) WHERE held IS NOT NULL;
CREATE INDEX IF NOT EXISTS main."threadline_audit_changes_held_for" ON "threadline_audit_changes" (table_id, held_for) WHERE held_for IS NOT NULL;

-- The values of a change: of an INSERT and a DELETE those that are not NULL, of an UPDATE those that it has
-- changed. The columns have no type, so that SQLite keeps each value as it is.
CREATE TABLE IF NOT EXISTS main."threadline_audit_values" (
    change INTEGER NOT NULL,
    field  INTEGER NOT NULL,          -- the number of the column in the shape
    flags  INTEGER NOT NULL DEFAULT 0, -- 1, 2: old, new is only its length in bytes; 4: not changed, and kept for want of a key
    old,
    new,
    PRIMARY KEY (change, field)
) WITHOUT ROWID;
