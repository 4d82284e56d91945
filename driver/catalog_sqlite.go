package driver

import (
	"context"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// ask looks a name up in the databases of the connection, in SQLite's
// order: temp, main, and what is attached. With temporaryOnly it returns nil if no temporary
// table has that name.
func (d sqlite) ask(ctx context.Context, k *catalog, t lex.Table, temporaryOnly bool) (*relation, error) {
	if temporaryOnly && k.permanent[t] {
		return nil, nil
	}
	schemas := []string{"temp", "main"}
	switch {
	case t.Schema != "":
		schemas = []string{folded(t.Schema)}
	case !temporaryOnly:
		var err error
		if schemas, err = databases(ctx, k.own); err != nil {
			return nil, err
		}
	}
	for _, schema := range schemas {
		if temporaryOnly && schema != "temp" {
			k.isPermanent(t)
			return nil, nil
		}
		r, err := d.find(ctx, k, schema, t.Name)
		if err != nil || r != nil {
			return r, err
		}
	}
	r := k.asWritten(t)
	r.missing = true
	return r, nil
}

// databases returns those of the connection, in the order in which SQLite
// looks for a name.
func databases(ctx context.Context, own *querier) ([]string, error) {
	schemas := []string{"temp", "main"}
	err := own.read(ctx, "PRAGMA database_list", nil, func(row []string) {
		if len(row) > 1 && !slices.Contains(schemas, folded(row[1])) {
			schemas = append(schemas, row[1])
		}
	})
	return schemas, err
}

// find looks a name up in one database.
func (d sqlite) find(ctx context.Context, k *catalog, schema, name string) (*relation, error) {
	var found *step
	var reads []lex.Table
	var triggers []lex.Trigger
	trigger := func(kind, sql string) {
		if kind == "trigger" {
			triggers = append(triggers, lex.ParseTrigger(sql, name, k.key))
		}
	}
	err := d.readMaster(ctx, k, schema, name, func(kind, name, sql, key string) {
		switch kind {
		case "table":
			words := lex.Words(lex.SQLite, sql)
			found = &step{
				virtual:  strings.HasPrefix(sql, "CREATE VIRTUAL"), // SQLite writes these two words itself
				key:      keyTypeOfSQLite(k.key, key),
				rekeys:   rekeysOfSQLite(key),
				cascades: strings.HasPrefix(key, ":^") || strings.HasPrefix(key, "=^"),
				replaces: hasSequence(words, "ON", "CONFLICT", "REPLACE"),
			}
			found.fullText = found.virtual && isFullText(words)
		case "view":
			found = &step{view: true}
			for _, word := range lex.Words(lex.SQLite, sql) {
				reads = append(reads, lex.Table{Name: word})
			}
		default:
			trigger(kind, sql)
			return
		}
		found.Table, found.temporary = lex.Table{Schema: schema, Name: name}, schema == "temp"
		found.triggers = found.temporary && key != ""
	})
	if err != nil || found == nil {
		return nil, err
	}
	if schema != "temp" { // a temporary trigger may be on any table
		err = d.readMaster(ctx, k, "temp", name, func(kind, _, sql, _ string) { trigger(kind, sql) })
	}
	for _, t := range triggers {
		t.Moves = t.Moves || found.rekeys != 0 // it may set the columns that the key is made of
		found.passes(t, k.is.changesBy(t.Op))
	}
	return &relation{steps: []step{*found}, reads: reads}, err
}

// passes adds what a trigger may do to the rows of s.
func (s *step) passes(t lex.Trigger, by changes) {
	if t.Instead {
		s.instead |= by
	}
	if t.Ignores {
		s.doubt |= by
	}
	if t.Moves {
		s.rekeys = anyChange // an INSERT's trigger may set off that of an UPDATE
	}
}

// isFullText reports whether a virtual table, of whose text these are the words, is
// one of FTS3 to FTS5: no other module takes commands for rows. SQLite itself writes
// the text up to the table's name, without a schema.
func isFullText(words []string) bool {
	const using = 4 // CREATE VIRTUAL TABLE name USING module
	return len(words) > using+1 && strings.EqualFold(words[using], "USING") && strings.HasPrefix(folded(words[using+1]), "fts")
}

// keyTypeOfSQLite is the type of the key's column, of which masterKey says how it is
// declared.
func keyTypeOfSQLite(column, declared string) keyType {
	number := lex.IsRowID(column)
	switch {
	case number && (declared == "" || declared == "#"):
		return numericColumn
	case declared == "?":
		return someColumn
	case declared == "", declared == "-", declared == "#":
		return otherColumn
	}
	return keyTypeOf(affinity(strings.ToUpper(strings.TrimPrefix(declared[1:], "^"))))
}

// rekeysOfSQLite are the operations that change the key without naming it.
func rekeysOfSQLite(declared string) changes {
	switch {
	case declared == "#":
		return anyChange // by the column that has the row's number
	case strings.HasPrefix(declared, "="):
		return updates
	}
	return 0
}

// affinity is that of a declared type, as https://sqlite.org/datatype3.html
// (section 3.1) has it. ANY has none in a STRICT table.
func affinity(declared string) string {
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(declared, part) })
	}
	switch {
	case has("INT"):
		return "affinity numeric"
	case has("CHAR", "CLOB", "TEXT"):
		return "affinity text"
	case declared == "", declared == "ANY", has("BLOB", "REAL", "FLOA", "DOUB"): //nolint:misspell // as SQLite has it
		return ""
	default:
		return "affinity numeric"
	}
}

// hasSequence reports whether the keywords are among the words, one after another.
func hasSequence(words []string, keywords ...string) bool {
	for len(words) >= len(keywords) {
		if slices.EqualFunc(words[:len(keywords)], keywords, strings.EqualFold) {
			return true
		}
		words = words[1:]
	}
	return false
}

// masterQuery reads what a database says of the table or view ?1, and of its
// triggers.
const masterQuery = `SELECT m.type, m.name, m.sql, %key FROM %master m
	WHERE m.type IN ('table', 'view') AND m.name = ?1 COLLATE NOCASE OR m.type = 'trigger' AND m.tbl_name = ?1 COLLATE NOCASE`

// masterKey is the declared type of the key's column ?2, behind a colon, or behind "="
// if it is generated from others, and then behind a "^" if a DELETE takes other rows
// of the table along; "-" if one value may have several spellings there,
// by its collation, or several rows may have it: it is neither the row's number nor
// has a unique index alone; if there is no column of that name, which may then be the
// row's number, "#" where another column has that, and "" where none does. It is "?"
// where it cannot be asked. A virtual table is not looked into: its module may be
// missing.
const masterKey = `CASE WHEN m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' THEN coalesce((
	SELECT CASE WHEN c.pk = 1 AND upper(c.type) = 'INTEGER' AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(m.name, ?3) o WHERE o.pk > 1)
		OR EXISTS (SELECT 1 FROM pragma_index_list(m.name, ?3) i WHERE i."unique" AND NOT i.partial
			AND (SELECT group_concat(coalesce(x.name, '') || ' ' || x.coll) FROM pragma_index_xinfo(i.name, ?3) x WHERE x.key) = c.name || ' BINARY')
		THEN CASE WHEN c.hidden IN (2, 3) THEN '=' ELSE ':' END
			|| CASE WHEN EXISTS (SELECT 1 FROM pragma_foreign_key_list(m.name, ?3) f WHERE f."table" = m.name COLLATE NOCASE AND f.on_delete = 'CASCADE') THEN '^' ELSE '' END || c.type ELSE '-' END
	FROM pragma_table_xinfo(m.name, ?3) c WHERE c.name = ?2 COLLATE NOCASE),
	(SELECT '#' FROM pragma_table_xinfo(m.name, ?3) o WHERE o.pk = 1 AND upper(o.type) = 'INTEGER')) END`

// anyTrigger takes the place of the key's column for temporary tables, which are
// not captured: there may be a trigger that a foreign key's CASCADE leads to.
const anyTrigger = "(SELECT 1 FROM sqlite_temp_master WHERE type = 'trigger' LIMIT 1)"

func (sqlite) readMaster(ctx context.Context, k *catalog, schema, name string, f func(kind, name, sql, key string)) error {
	master, key, args := `"`+strings.ReplaceAll(schema, `"`, `""`)+`".sqlite_master`, masterKey, []string{name, k.key, schema}
	// With pragmas, a read transaction of the main database would begin, and its
	// first write might fail where it would have waited.
	switch {
	case schema == "temp":
		master, key, args = "sqlite_temp_master", anyTrigger, args[:1]
	case k.tx.Open() && folded(schema) != "main":
		key, args = "'?'", args[:1]
	}
	query := strings.NewReplacer("%key", key, "%master", master).Replace(masterQuery)
	return k.own.read(ctx, query, args, func(row []string) {
		if len(row) == 4 {
			f(row[0], row[1], row[2], row[3])
		}
	})
}

func (d sqlite) tables(ctx context.Context, k *catalog, named []tableName) (there []tableName, err error) {
	schemas, err := databases(ctx, k.own)
	for _, schema := range schemas {
		for _, n := range named {
			if err != nil {
				return nil, err
			}
			err = d.readMaster(ctx, k, schema, n.table, func(kind, name, _, _ string) {
				if kind != "trigger" {
					there = append(there, tableName{folded(schema), folded(name)})
				}
			})
		}
	}
	return there, err
}
