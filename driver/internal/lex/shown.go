package lex

// Shown is what MySQL's SHOW CREATE TABLE says of a table, as far as its key is
// concerned.
type Shown struct {
	View, Temporary bool
	Type            string // of the key's column, in lower case; empty if there is none of that name
	Alone           bool   // a unique index has that column and no other, and the whole of it
	Generated       bool   // from other columns
	Engine          string // in lower case
}

// ParseShown reads the answer to SHOW CREATE TABLE of a session with that dialect.
// Where names are not quoted in it (sql_quote_show_create=0), no column is found.
func ParseShown(d Dialect, query, keyColumn string) Shown {
	var t Shown
	p := parser{key: keyColumn, scan: scanner{src: query}}
	p.scan.configure(d)
	t.View = true
	for p.advance(); p.tok.kind != eof && !p.is('('); p.advance() {
		t.Temporary = t.Temporary || p.at("TEMPORARY")
		t.View = t.View && !p.at("TABLE")
	}
	if t.View {
		return t
	}
	p.advance()
	for p.depth > 0 && p.tok.kind != eof {
		p.shownItem(&t)
		p.advance()
	}
	for ; p.tok.kind != eof; p.advance() {
		if p.at("ENGINE") && p.after().op('=') {
			p.advance()
			p.advance()
			t.Engine = lower(p.tok.text)
		}
	}
	return t
}

// shownItem reads a column or an index, to the comma or bracket behind it.
func (p *parser) shownItem(t *Shown) {
	key := p.tok.kind == quoted && p.isKey()
	switch {
	case key:
		p.advance()
		t.Type = lower(p.tok.text)
	case p.atAny("PRIMARY", "UNIQUE"):
		for !p.is('(') && p.tok.kind != eof {
			p.advance()
		}
		p.advance()
		alone := p.tok.kind == quoted && p.isKey()
		p.advance()
		p.acceptAny("ASC", "DESC")
		t.Alone = t.Alone || alone && p.is(')')
	}
	for ; p.depth > 1 || p.depth == 1 && !p.is(','); p.advance() {
		if p.tok.kind == eof {
			return
		}
		t.Generated = t.Generated || key && p.depth == 1 && (p.tok.is("GENERATED") || p.tok.is("AS"))
	}
}
