-- The journal is written through a view, because rowids that a trigger sets are forgotten when
-- it ends: the app's last_insert_rowid() stays what it was.
CREATE VIEW IF NOT EXISTS main.{prefix}write AS SELECT NULL AS key, NULL AS tx, NULL AS now, NULL AS events, NULL AS format, NULL AS document, NULL AS personal WHERE false;

-- A transaction starts, for its entries, with its first flush. If it is not the
-- first, the last row of the table is its own, since there is one writer. The seq is
-- AUTOINCREMENT's, unless something has emptied sqlite_sequence: then it is the first that
-- no cursor has passed.
CREATE TRIGGER IF NOT EXISTS main.{prefix}write_insert INSTEAD OF INSERT ON {prefix}write
BEGIN
	INSERT INTO {prefix}journal (seq, key, tx_id, tx_started_at, recorded_at, events, format, document, personal)
	VALUES (
		(SELECT max(done) + 1 FROM {prefix}cursors WHERE done > max(
			coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{prefix}journal'), 0), coalesce((SELECT max(seq) FROM {prefix}journal), 0))),
		NEW.key, NEW.tx,
		coalesce((SELECT tx_started_at FROM (SELECT tx_id, tx_started_at FROM {prefix}journal ORDER BY seq DESC LIMIT 1)
			WHERE tx_id = NEW.tx), NEW.now),
		NEW.now, NEW.events, NEW.format, NEW.document, NEW.personal);
END;
