package capture_test

import "testing"

// fullText are a full-text table, one whose content is elsewhere, two R-Trees, and an ordinary table with a column of its own name.
const fullText = `CREATE VIRTUAL TABLE notes USING fts5(body);
	CREATE TABLE texts (id integer PRIMARY KEY, body text);
	CREATE VIRTUAL TABLE found USING fts5(body, content='texts', content_rowid='id');
	CREATE VIRTUAL TABLE boxes USING rtree(id, left, right);
	CREATE VIRTUAL TABLE spans USING rtree(spans, left, right);
	CREATE VIRTUAL TABLE IF NOT EXISTS main."using" USING FTS5(body);
	CREATE TABLE tag (tag text)`

// TestFullTextCommands: a command to a full-text table is not a row.
func TestFullTextCommands(t *testing.T) {
	each(t, fullText, func(w *world) {
		for _, query := range []string{
			"INSERT INTO notes(notes) VALUES ('optimize')",
			"INSERT INTO notes(notes) VALUES ('rebuild')",
			"INSERT INTO notes(notes) VALUES ('integrity-check')",
			"INSERT INTO notes(notes, rank) VALUES ('merge', 500)",
			"INSERT INTO notes(notes, rank) VALUES ('automerge', 4)",
			"INSERT INTO main.found([Found]) VALUES ('rebuild')",
			"INSERT INTO found(found, rowid, body) VALUES ('delete', 1, 'x')",
			"INSERT INTO found(found) VALUES ('delete-all')",
		} {
			if query == "INSERT INTO found(found, rowid, body) VALUES ('delete', 1, 'x')" {
				w.setUp("INSERT INTO texts VALUES (1, 'x'); INSERT INTO found(rowid, body) VALUES (1, 'x')")
			}
			w.exec(query)
			w.wantAfter(query)
		}
		tx := w.begin()
		w.execOn(tx, "INSERT INTO notes(notes) VALUES (?)", "optimize")
		w.execOn(tx, "INSERT INTO notes(body) VALUES ('a')")
		w.must(tx.Commit())
		w.want("notes.inserted notes statements=1 rows=1")
		w.exec("INSERT INTO boxes(id, left, right) VALUES (7, 1, 2)")
		w.want("boxes.inserted boxes statements=1 rows=1")
		w.exec("INSERT INTO spans(spans, left, right) VALUES (7, 1, 2)")
		w.want("spans.inserted spans statements=1 rows=1")
		w.exec(`INSERT INTO "using"("using") VALUES ('optimize')`)
		w.want()
		w.exec("INSERT INTO tag(tag) VALUES ('optimize')")
		w.want("tag.inserted tag statements=1 rows=1")
	}, lite...)
}
