package reading

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// affinityOf is the affinity of a column by its declared type (SQLite, "Datatypes", section 3.1).
func affinityOf(typ string) string {
	typ = strings.ToUpper(typ)
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(typ, p) })
	}
	switch {
	case has("INT"):
		return "INTEGER"
	case has("CHAR", "CLOB", "TEXT"):
		return "TEXT"
	case has("BLOB"), typ == "":
		return ""
	case has("REAL", "FLOA", "DOUB"): //nolint:misspell // as SQLite has it
		return "REAL"
	}
	return "NUMERIC"
}

// liteID is a number that identifies a table, as the OID does on PostgreSQL.
func liteID(name string) int64 { return catalog.Digest(strings.ToLower(name)) }

// constraints reads what decides whether statements on a table succeed.
func (s SQLite) constraints(ctx context.Context, q catalog.Querier, t *LiveTable, is *catalog.SQLiteTable) error {
	if err := q.QueryRowContext(ctx, "SELECT foreign_keys FROM pragma_foreign_keys").Scan(&t.Enforces); err != nil {
		return err
	}
	t.unique(is)
	var err error
	if t.Keys, err = s.foreignKeys(ctx, q, "lower(m.name) = lower(?)", is.Table); err != nil {
		return err
	}
	if t.Referred, err = s.foreignKeys(ctx, q, "lower(f.\"table\") = lower(?)", is.Table); err != nil {
		return err
	}
	if !t.Enforces {
		t.Keys = nil
		for _, k := range t.Referred { // so that statements are only for connections that do not enforce them either
			k.OnDelete, k.OnUpdate, k.Acts = "", "", false
		}
	}
	t.Triggers, err = s.otherTriggers(ctx, q, t.Name, is.Table)
	return err
}

// unique sets the unique keys.
func (t *LiveTable) unique(is *catalog.SQLiteTable) {
	if len(is.PrimaryKey) == 1 && !slices.ContainsFunc(is.Unique, func(i catalog.SQLiteIndex) bool {
		return i.Where == "" && len(i.Terms) == 1 && i.Terms[0].Column == is.PrimaryKey[0]
	}) { // it is the row's number
		t.Uniques = append(t.Uniques, uniqueKey{Columns: is.PrimaryKey, Immediate: true, Same: []SQLiteEquality{{}}})
	}
	for _, i := range is.Unique {
		u := uniqueKey{Name: i.Name, Immediate: true}
		plain := i.Where == "" && !i.Unknown
		text := strings.ToLower(i.Where)
		for _, term := range i.Terms {
			text += " " + strings.ToLower(term.Expression)
			if term.Column != "" {
				u.Columns = append(u.Columns, term.Column)
				u.Same = append(u.Same, SQLiteEquality{collation: term.Collation})
			}
			known := slices.Contains([]string{"BINARY", "NOCASE", "RTRIM"}, strings.ToUpper(term.Collation))
			plain = plain && known && term.Column != "" && !slices.Contains(is.Virtual, term.Column)
		}
		if plain {
			t.Uniques = append(t.Uniques, u)
			continue
		}
		for _, c := range t.Columns { // also some that it only seems to depend on
			if i.Unknown || len(is.Virtual) > 0 || strings.Contains(text, strings.ToLower(c.Name)) {
				u.Columns = append(u.Columns, c.Name)
			}
		}
		t.Unproven = append(t.Unproven, u)
	}
}

// foreignKeys are those f of the tables m with a condition.
func (s SQLite) foreignKeys(ctx context.Context, q catalog.Querier, condition, table string) ([]*ForeignKey, error) {
	type part struct {
		child, parent, from, to, onDelete, onUpdate string
		id                                          int
	}
	parts, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (p part, err error) {
		return p, rows.Scan(&p.child, &p.id, &p.parent, &p.from, &p.to, &p.onDelete, &p.onUpdate)
	}, `SELECT m.name, f.id, coalesce(p.name, ''), f."from", coalesce(f."to", ''), f.on_delete, f.on_update FROM main.sqlite_master m JOIN pragma_foreign_key_list(m.name, 'main') f
		LEFT JOIN main.sqlite_master p ON p.type = 'table' AND p.name = f."table" COLLATE NOCASE WHERE m.type = 'table' AND `+condition+" ORDER BY m.name, f.id, f.seq", table)
	if err != nil {
		return nil, err
	}
	var list []*ForeignKey
	var last part
	for n, p := range parts {
		if p.parent == "" { // it is not there, and a statement would fail
			continue
		}
		if n == 0 || p.child != last.child || p.id != last.id {
			k := &ForeignKey{Child: liteID(p.child), Parent: liteID(p.parent), ChildName: `"main".` + pgschema.Ident(p.child), ParentName: `"main".` + pgschema.Ident(p.parent), OnDelete: liteActions[p.onDelete], OnUpdate: liteActions[p.onUpdate], Acts: true}
			if k.Captured, err = s.captures(ctx, q, p.child); err != nil {
				return nil, err
			}
			list = append(list, k)
		}
		k := list[len(list)-1]
		k.Columns, k.References = append(k.Columns, p.from), append(k.References, p.to)
		last = p
	}
	for i, k := range list {
		if err = s.refers(ctx, q, k); err != nil {
			return nil, err
		}
		k.Name = strings.Join(k.Columns, ", ")
		if slices.ContainsFunc(list[:i], func(o *ForeignKey) bool { return o.Child == k.Child && o.Name == k.Name }) {
			k.Name += " to " + k.ParentName
		}
	}
	return list, nil
}

// liteActions are what foreign keys do, by their names in SQL.
var liteActions = map[string]string{"CASCADE": Cascades, "SET NULL": SetNull, "SET DEFAULT": SetDefault}

// captures reports whether a table has our triggers.
func (s SQLite) captures(ctx context.Context, q catalog.Querier, table string) (is bool, err error) {
	err = q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE AND substr(name, 1, ?) = ?)",
		table, len(s.Catalog.Schema+"_"+catalog.SQLiteTriggers), s.Catalog.Schema+"_"+catalog.SQLiteTriggers).Scan(&is)
	return is, err
}

// refers sets which columns a foreign key refers to, as the table has their names, and how they are compared.
func (s SQLite) refers(ctx context.Context, q catalog.Querier, k *ForeignKey) error {
	_, name, err := catalog.ParseSQLiteName(k.ParentName)
	if err != nil {
		return err
	}
	parent := &catalog.SQLiteTable{}
	parent.Table = name
	for _, part := range []func(context.Context, catalog.Querier, *catalog.SQLiteTable) error{s.ReadColumns, s.ReadIndexes} {
		if err = part(ctx, q, parent); err != nil {
			return err
		}
	}
	for i := range k.References {
		if k.References[i] == "" && i < len(parent.PrimaryKey) {
			k.References[i] = parent.PrimaryKey[i]
		}
		one := SQLiteEquality{collation: "BINARY"}
		for _, c := range parent.All {
			if strings.EqualFold(c.Name, k.References[i]) {
				k.References[i], one.affinity = c.Name, affinityOf(c.Type)
			}
		}
		for _, index := range parent.Unique {
			for _, term := range index.Terms {
				if index.Where == "" && term.Column == k.References[i] && len(index.Terms) == len(k.References) {
					one.collation = term.Collation
				}
			}
		}
		k.Same = append(k.Same, one)
	}
	return nil
}

// otherTriggers are the app's on a table.
func (s SQLite) otherTriggers(ctx context.Context, q catalog.Querier, qualified, table string) ([]LiveTrigger, error) {
	type one struct{ name, sql string }
	var list []LiveTrigger
	for _, schema := range []string{"main.sqlite_master", "temp.sqlite_master"} {
		found, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (o one, err error) { return o, rows.Scan(&o.name, &o.sql) },
			"SELECT name, sql FROM "+schema+" WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE AND substr(name, 1, ?) <> ? ORDER BY name", table, len(s.Catalog.Schema+"_"+catalog.SQLiteTriggers), s.Catalog.Schema+"_"+catalog.SQLiteTriggers)
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			g := parseTrigger(o.sql)
			g.Name, g.Table = o.name, qualified
			list = append(list, g)
		}
	}
	return list, nil
}

// parseTrigger reads when a CREATE TRIGGER fires.
func parseTrigger(text string) (g LiveTrigger) {
	g.Type = TriggerRow
	words, names := liteWords(text)
	for i, w := range words {
		switch w {
		case "BEFORE", "INSTEAD":
			g.Type |= TriggerBefore
		case "INSERT":
			g.Type |= triggerInsert
		case "DELETE":
			g.Type |= triggerDelete
		case "UPDATE":
			g.Type |= triggerUpdate
			if i+1 < len(words) && words[i+1] == "OF" {
				for j := i + 2; j < len(words) && words[j] != "ON"; j++ {
					g.Columns = append(g.Columns, names[j])
				}
			}
		default:
			continue
		}
		if g.Type&(triggerInsert|triggerDelete|triggerUpdate) != 0 {
			break
		}
	}
	return g
}

// liteWords are the words of an SQL text: in upper case, "" for those in quotes; and as names.
func liteWords(text string) (words, names []string) {
	for i := 0; i < len(text); {
		letter := func(c byte) bool {
			return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
		}
		n := catalog.Skipped(text[i:])
		switch {
		case n > 0:
			if strings.IndexByte("\"`'[", text[i]) >= 0 {
				name, _, _ := catalog.CutSQLiteName(text[i : i+n])
				words, names = append(words, ""), append(names, strings.TrimSuffix(name, "]"))
			}
		case letter(text[i]):
			for n < len(text)-i && letter(text[i+n]) {
				n++
			}
			words, names = append(words, strings.ToUpper(text[i:i+n])), append(names, text[i:i+n])
		default:
			n = 1
		}
		i += n
	}
	return words, names
}

func scanText(rows *sql.Rows) (text string, err error) { return text, rows.Scan(&text) }
