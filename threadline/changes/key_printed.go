package changes

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// printed returns a key as PostgreSQL prints it, because changes have it like that: somebody may have written a UUID in capitals, or
// a time in another zone, and the row would be taken for one that has never changed. A key that has changes as it is written is
// returned as it is, and so is one that is no value of the columns' types.
func (r *snapshot) printed(ctx context.Context, l *lives, key []string) ([]string, error) {
	t := l.table
	if _, ok := r.store.sqlite(); ok || t.liveTable == nil || len(t.key) != len(key) || slices.ContainsFunc(t.key, func(k string) bool { return t.column(k) == nil }) {
		return key, nil
	}
	if is, err := l.has(ctx, key); is || err != nil {
		return key, err
	}
	var queries []string
	if cast := t.castKey(key); cast != "" {
		queries = append(queries, cast)
	}
	if t.Readable {
		queries = append(queries, t.findKey(key)) // equal to it: 1.50 and 1.5
	}
	for _, query := range queries {
		text, err := r.tried(ctx, query)
		if err != nil {
			return nil, err
		}
		other, err := keyOf(text)
		if err != nil {
			return nil, err
		}
		if is, err := l.has(ctx, other); is || err != nil {
			return other, err
		}
	}
	return key, nil
}

// has reports whether rows with a key have changes.
func (l *lives) has(ctx context.Context, key []string) (bool, error) {
	if key == nil {
		return false, nil
	}
	text := rowtext.Format(key)
	if list, read := l.under[text]; read {
		return slices.ContainsFunc(list, func(r *row) bool { return r.key.Valid }), nil
	}
	one := func(column string) string {
		return "EXISTS (SELECT FROM " + l.store.at("audit_changes") + " c WHERE " + withKey(column, "$2", "$1") + ")"
	}
	var is bool
	err := l.db.QueryRowContext(ctx, "SELECT "+one("key")+" OR "+one("former_key"), l.tableID, text).Scan(&is)
	return is, catalog.Wrap("read the history", err)
}

// castKey is a query for the text of a key as the columns' types print it. It selects nothing if a type would cut a value to its
// length, and is "" if a column has no operator to find that out.
func (t *undoTable) castKey(key []string) string {
	values, same := make([]string, len(key)), make([]string, len(key))
	for i, k := range t.key {
		c, v := t.column(k), Value{Text: &key[i]}
		if c.Equal == "" || c.Constrained {
			return ""
		}
		values[i] = c.literal(v)
		same[i] = c.uncut(v) + " OPERATOR(" + c.Equal + ".=) " + values[i]
	}
	return "SELECT ROW(" + strings.Join(values, ", ") + ")::pg_catalog.text WHERE " + strings.Join(same, " AND ")
}

// findKey is a query for the text of the key that a row has now, if that is equal to this one.
func (t *undoTable) findKey(key []string) string {
	columns, conditions := make([]string, len(key)), make([]string, len(key))
	for i, k := range t.key {
		c := t.column(k)
		columns[i] = "t." + pgschema.Ident(k)
		conditions[i] = c.matches(columns[i], c.uncut(Value{Text: &key[i]}))
	}
	return fmt.Sprintf("SELECT ROW(%s)::pg_catalog.text FROM %s t WHERE %s LIMIT 1", strings.Join(columns, ", "), t.only(), strings.Join(conditions, " AND "))
}

// byText reports whether values of the column are compared as texts, since a cast would execute what a role has made. The type that a domain
// is made of does without, if it is PostgreSQL's own.
func (c *liveColumn) byText() bool {
	return c.Constrained && (!c.Domain || strings.Contains(c.Base, "."))
}

// uncut is a value to compare with the column. A cast to the column's own type might cut it to its length, and so find another row.
func (c *liveColumn) uncut(v Value) string {
	switch {
	case c.byText():
		return castTo(v.Text, "pg_catalog.text")
	case c.native || c.Equal == "": // the comparison of records needs the column's own type
		return c.literal(v)
	}
	return castTo(v.Text, c.Base)
}

// matches is the condition that a column equals an expression. If its type has no operator for that, their bytes are compared, and their
// texts if a cast would execute what a role has made.
func (c *liveColumn) matches(column, value string) string {
	switch {
	case c.byText():
		return "pg_catalog.concat(" + column + ") OPERATOR(pg_catalog.=) " + value + ` COLLATE "C"`
	case c.Equal == "":
		return "ROW(" + column + ")::record OPERATOR(pg_catalog.*=) ROW(" + value + ")::record"
	}
	return column + " OPERATOR(" + c.Equal + ".=) " + value
}

// tried returns the text that a query selects, and NULL if it selects none or fails. A savepoint keeps a failure from ending the
// transaction.
func (r *snapshot) tried(ctx context.Context, query string) (text sql.NullString, err error) {
	if _, err = r.tx.ExecContext(ctx, "SAVEPOINT aftercommit_tried"); err != nil {
		return text, catalog.Wrap("read a key", err)
	}
	failed := r.tx.QueryRowContext(ctx, query).Scan(&text)
	if failed != nil {
		text = sql.NullString{}
	}
	_, err = r.tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT aftercommit_tried")
	return text, catalog.Wrap("read a key", err)
}

// printed is printed of a separate snapshot, which is opened only if the key has no changes as it is written.
func (s *Store) printed(ctx context.Context, l *lives, table string, key []string) (printed []string, err error) {
	is, err := l.has(ctx, key)
	if is || err != nil {
		return key, err
	}
	err = s.inSnapshot(ctx, s.catalog.DB, func(r *snapshot) error {
		t, failed := r.look(ctx, table)
		if failed == nil {
			printed, failed = r.printed(ctx, r.lives(t), key)
		}
		return failed
	})
	return printed, err
}
