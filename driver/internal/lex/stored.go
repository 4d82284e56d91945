package lex

// SQLite's catalog keeps views and triggers as the text that made them.

// Trigger is what the text of an SQLite trigger says.
type Trigger struct {
	Op Op // Insert, Update or Delete
	// Instead: INSTEAD OF, on a view.
	Instead bool
	// Ignores: it may RAISE(IGNORE), which drops the row without an error.
	Ignores bool
	// Moves: it may set the key's column of its own table.
	Moves bool
}

// ParseTrigger reads a CREATE TRIGGER of SQLite on a table.
func ParseTrigger(query, table, keyColumn string) Trigger {
	var t Trigger
	p := parser{scan: scanner{src: query, dialect: SQLite}}
	for p.advance(); p.tok.kind != eof && !p.atAny("INSERT", "UPDATE", "DELETE"); p.advance() {
		t.Instead = t.Instead || p.at("INSTEAD") && p.after().is("OF")
	}
	switch {
	case p.at("UPDATE"):
		t.Op = Update
	case p.at("DELETE"):
		t.Op = Delete
	}
	for body := false; p.tok.kind != eof; p.advance() {
		if p.at("BEGIN") && !body {
			body = true
			t.Moves = movesKey(query[p.scan.pos:], table, keyColumn)
		}
		if p.at("RAISE") && p.after().op('(') {
			p.advance()
			t.Ignores = t.Ignores || p.after().is("IGNORE")
		}
	}
	return t
}

// movesKey reports whether any of the statements may set the table's key.
func movesKey(body, table, keyColumn string) bool {
	for _, st := range Parse(SQLite, body, keyColumn, nil) {
		if st.Moves && lower(st.Tables[0].Name) == lower(table) {
			return true
		}
	}
	return false
}

// Words returns the words and the quoted names of a query, folded, on SQLite also its
// strings, which may stand for names: whatever tables it may mention are among them.
func Words(d Dialect, query string) []string {
	var words []string
	for s := (scanner{src: query, dialect: d}); ; {
		switch t := s.next(); {
		case t.kind == eof:
			return words
		case t.form == 0 && (t.kind == word || t.kind == quoted || t.kind == str && d == SQLite):
			words = append(words, fold(d, t))
		}
	}
}
