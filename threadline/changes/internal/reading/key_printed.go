package reading

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Printed returns a key as PostgreSQL prints it, which is how changes have it. Otherwise a row whose UUID is written in capitals, or
// whose time is in another zone, would be taken for one that has never changed. If changes have the key as it is written, it is
// returned as it is. If no row can have it, the error is [change.ErrKey].
func (r *Snapshot) Printed(ctx context.Context, l *Lives, key []string) ([]string, error) {
	printed, is, err := r.printed(ctx, l, key)
	if t := l.table; err == nil && !is && t.LiveTable != nil && t.Readable {
		err = r.CheckIntact(ctx, t.OID)
	}
	return printed, err
}

// printed is Printed, and reports whether changes have the key.
func (r *Snapshot) printed(ctx context.Context, l *Lives, key []string) (_ []string, is bool, err error) {
	t := l.table
	if _, ok := r.Reader.OnSQLite(); ok || len(t.Key) != len(key) {
		return key, true, nil
	}
	columns := t.keyColumns()
	if columns == nil {
		return key, true, nil
	}
	if is, err = l.Has(ctx, key); is || err != nil {
		return key, is, err
	}
	cast, err := r.cast(ctx, t, columns, key)
	if err != nil {
		return nil, false, err
	}
	if other, has, failed := l.hasText(ctx, cast); has || failed != nil {
		return other, has, failed
	}
	if t.LiveTable == nil || !t.Readable {
		return key, false, nil
	}
	found, err := r.Tried(ctx, t.findKey(columns, key)) // equal to it: 1.50 and 1.5
	if err != nil {
		return nil, false, err
	}
	if other, has, failed := l.hasText(ctx, found); has || failed != nil {
		return other, has, failed
	}
	return key, false, nil
}

// PrintedIn is Printed for the rows of a page, whose transaction is no Snapshot. It looks at the table itself only if changes do not have
// the key as it is written. A role that may not look has to write it as PostgreSQL prints it.
func (s *Reader) PrintedIn(ctx context.Context, tx *sql.Tx, table int64, key []string) (printed []string, err error) {
	l := &Lives{Reader: s, DB: tx, TableID: table, Under: make(map[string][]*Row)}
	is, err := l.Has(ctx, key)
	if is || err != nil {
		return key, err
	}
	if _, err = tx.ExecContext(ctx, "SAVEPOINT aftercommit_printed"); err != nil { // for Pin
		return nil, catalog.Wrap("read a key", err)
	}
	defer func() {
		if _, failed := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT aftercommit_printed"); failed != nil {
			err = errors.Join(err, catalog.Wrap("read a key", failed))
		}
	}()
	r := &Snapshot{Reader: s, Tx: tx, Tables: make(map[int64]*Table), found: make(map[int64]*catalog.Relation)}
	err = r.Pin(ctx)
	var t *Table
	if err == nil {
		t, err = r.Table(ctx, table)
	}
	if err == nil {
		printed, _, err = r.printed(ctx, r.Lives(t), key)
	}
	if pgschema.Denied(err) {
		return key, nil
	}
	return printed, err
}

// cast returns the text of a key as the columns' types print it, NULL if a cast would truncate a value.
func (r *Snapshot) cast(ctx context.Context, t *Table, columns []*LiveColumn, key []string) (text sql.NullString, err error) {
	query := castKey(columns, key)
	if query == "" {
		return text, r.checkKeyValues(ctx, t, columns, key)
	}
	text, failed, err := r.try(ctx, query)
	if failed != nil && err == nil {
		err = r.checkKeyValues(ctx, t, columns, key)
	}
	return text, err
}

// hasText is Has for the text of a key, which it returns as a key.
func (l *Lives) hasText(ctx context.Context, text sql.NullString) (key []string, is bool, err error) {
	if key, err = KeyOf(text); err == nil {
		is, err = l.Has(ctx, key)
	}
	return key, is, err
}

// castKey is a query for the text of a key as the columns' types print it. It selects nothing if a cast would truncate a value, and is
// "" if a column has no operator to find that out.
func castKey(columns []*LiveColumn, key []string) string {
	values, same := make([]string, len(key)), make([]string, len(key))
	for i, c := range columns {
		v := change.Value{Text: &key[i]}
		if c.Equal == "" || c.Constrained {
			return ""
		}
		values[i] = c.Literal(v)
		same[i] = c.comparand(v) + " OPERATOR(" + c.Equal + ".=) " + values[i]
	}
	return "SELECT ROW(" + strings.Join(values, ", ") + ")::pg_catalog.text WHERE " + strings.Join(same, " AND ")
}

// findKey is a query for the text of the key that a row has now, if that is equal to this one.
func (t *Table) findKey(columns []*LiveColumn, key []string) string {
	values, conditions := make([]string, len(key)), make([]string, len(key))
	for i, c := range columns {
		values[i] = "t." + pgschema.Ident(c.Name)
		conditions[i] = c.matches(values[i], c.comparand(change.Value{Text: &key[i]}))
	}
	return fmt.Sprintf("SELECT ROW(%s)::pg_catalog.text FROM %s t WHERE %s LIMIT 1", strings.Join(values, ", "), t.Only(), strings.Join(conditions, " AND "))
}

// Tried returns the text that a query selects, and NULL if it selects none or fails. A savepoint keeps a failure from ending the
// transaction.
func (r *Snapshot) Tried(ctx context.Context, query string) (text sql.NullString, err error) {
	text, _, err = r.try(ctx, query)
	return text, err
}

// try is Tried, and returns why the query failed.
func (r *Snapshot) try(ctx context.Context, query string) (text sql.NullString, failed, err error) {
	if _, err = r.Tx.ExecContext(ctx, "SAVEPOINT aftercommit_tried"); err != nil {
		return text, nil, catalog.Wrap("read a key", err)
	}
	failed = r.Tx.QueryRowContext(ctx, query).Scan(&text)
	if failed != nil {
		text = sql.NullString{}
	}
	if errors.Is(failed, sql.ErrNoRows) {
		failed = nil
	}
	_, err = r.Tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT aftercommit_tried")
	return text, failed, catalog.Wrap("read a key", err)
}
