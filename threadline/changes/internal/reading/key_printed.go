package reading

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Printed returns a key as PostgreSQL prints it, which is how changes have it. Otherwise a row whose UUID is written in capitals, or
// whose time is in another zone, would be taken for one that has never changed. If changes have the key as it is written, it is
// returned as it is, and so is one that is no value of the columns' types.
func (r *Snapshot) Printed(ctx context.Context, l *Lives, key []string) ([]string, error) {
	t := l.table
	if _, ok := r.Reader.OnSQLite(); ok || t.LiveTable == nil || len(t.Key) != len(key) || slices.ContainsFunc(t.Key, func(k string) bool { return t.Column(k) == nil }) {
		return key, nil
	}
	if is, err := l.Has(ctx, key); is || err != nil {
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
		text, err := r.Tried(ctx, query)
		if err != nil {
			return nil, err
		}
		other, err := KeyOf(text)
		if err != nil {
			return nil, err
		}
		if is, err := l.Has(ctx, other); is || err != nil {
			return other, err
		}
	}
	if t.Readable {
		return key, r.CheckIntact(ctx, t.OID)
	}
	return key, nil
}

// castKey is a query for the text of a key as the columns' types print it. It selects nothing if a cast would truncate a value, and is
// "" if a column has no operator to find that out.
func (t *Table) castKey(key []string) string {
	values, same := make([]string, len(key)), make([]string, len(key))
	for i, k := range t.Key {
		c, v := t.Column(k), change.Value{Text: &key[i]}
		if c.Equal == "" || c.Constrained {
			return ""
		}
		values[i] = c.Literal(v)
		same[i] = c.comparand(v) + " OPERATOR(" + c.Equal + ".=) " + values[i]
	}
	return "SELECT ROW(" + strings.Join(values, ", ") + ")::pg_catalog.text WHERE " + strings.Join(same, " AND ")
}

// findKey is a query for the text of the key that a row has now, if that is equal to this one.
func (t *Table) findKey(key []string) string {
	columns, conditions := make([]string, len(key)), make([]string, len(key))
	for i, k := range t.Key {
		c := t.Column(k)
		columns[i] = "t." + pgschema.Ident(k)
		conditions[i] = c.matches(columns[i], c.comparand(change.Value{Text: &key[i]}))
	}
	return fmt.Sprintf("SELECT ROW(%s)::pg_catalog.text FROM %s t WHERE %s LIMIT 1", strings.Join(columns, ", "), t.Only(), strings.Join(conditions, " AND "))
}

// Tried returns the text that a query selects, and NULL if it selects none or fails. A savepoint keeps a failure from ending the
// transaction.
func (r *Snapshot) Tried(ctx context.Context, query string) (text sql.NullString, err error) {
	if _, err = r.Tx.ExecContext(ctx, "SAVEPOINT aftercommit_tried"); err != nil {
		return text, catalog.Wrap("read a key", err)
	}
	failed := r.Tx.QueryRowContext(ctx, query).Scan(&text)
	if failed != nil {
		text = sql.NullString{}
	}
	_, err = r.Tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT aftercommit_tried")
	return text, catalog.Wrap("read a key", err)
}
