package lex

import (
	"slices"
	"testing"
)

func TestParseTrigger(t *testing.T) {
	for _, c := range []struct {
		query string
		want  Trigger
	}{
		{"CREATE TRIGGER t BEFORE INSERT ON a BEGIN SELECT 1; END", Trigger{Op: Insert}},
		{`CREATE TRIGGER "before update" AFTER DELETE ON a BEGIN SELECT 1; END`, Trigger{Op: Delete}},
		{"CREATE TRIGGER t INSTEAD OF UPDATE OF b ON a BEGIN DELETE FROM c; END", Trigger{Op: Update, Instead: true}},
		{"CREATE TRIGGER instead DELETE ON a BEGIN SELECT 1; END", Trigger{Op: Delete}},
		{"CREATE TRIGGER t BEFORE INSERT ON a BEGIN SELECT raise ( ignore ) WHERE new.b = 'x'; END", Trigger{Op: Insert, Ignores: true}},
		{"CREATE TRIGGER t BEFORE INSERT ON a BEGIN SELECT RAISE(ABORT, 'IGNORE'); END", Trigger{Op: Insert}},
		{"CREATE TRIGGER t BEFORE UPDATE ON a BEGIN SELECT 1; SELECT RAISE(FAIL, 'x'), RAISE(IGNORE); END", Trigger{Op: Update, Ignores: true}},
		{"CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; UPDATE A SET b = 1, ID = 7 WHERE rowid = new.rowid; END", Trigger{Op: Insert, Moves: true}},
		{"CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET b = new.id WHERE id = new.id; UPDATE c SET id = 7; END", Trigger{Op: Insert}},
		{"CREATE TRIGGER t AFTER UPDATE ON a WHEN new.b = CASE 1 WHEN 1 THEN 2 END BEGIN REPLACE INTO a VALUES (1); END", Trigger{Op: Update, Moves: true}},
		{"CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET rowid = 7; END", Trigger{Op: Insert, Moves: true}},
		{"CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE 'a' SET 'id' = 7; END", Trigger{Op: Insert, Moves: true}},
		{"CREATE TRIGGER t AFTER INSERT ON 'a' BEGIN UPDATE 'a' SET b = 7; END", Trigger{Op: Insert}},
		{"nonsense", Trigger{}},
	} {
		if got := ParseTrigger(c.query, "a", "id"); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.query, got, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	got := Words(SQLite, "CREATE VIEW v AS SELECT x'00', [a b] FROM \"Orders\" o -- note\nJOIN main.lines JOIN 'it''s'")
	want := []string{"CREATE", "VIEW", "v", "AS", "SELECT", "a b", "FROM", "Orders", "o", "JOIN", "main", "lines", "JOIN", "it's"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
