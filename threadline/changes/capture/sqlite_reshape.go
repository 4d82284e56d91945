package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

var _ hooks.Reshaper = (*List)(nil)

// BeforeSchema implements [hooks.Reshaper]: it drops the triggers of a table on SQLite, because the DROP of a column that
// they name would fail.
func (c *List) BeforeSchema(ctx context.Context, conn *sql.DB, table string) error {
	s := onSQLite(conn, c.Options)
	if err := s.Check(ctx, conn); err != nil {
		return nil //nolint:nilerr // nothing is captured, or in another schema
	}
	t, err := s.look(ctx, conn, pgschema.Ident(table))
	if err != nil || t.LastCapture == nil || !t.LastCapture.Shape.Valid {
		return nil //nolint:nilerr // it is not captured, or not there
	}
	t.hidden = t.LastCapture.Hidden
	drop := append(s.drop(t), s.insertCaptureSQL(t, strconv.FormatInt(t.LastCapture.Shape.Int64, 10), suspended))
	return wrap("capture "+t.Qualified(), runInSavepoint(ctx, conn, drop))
}

// AfterSchema implements [hooks.Reshaper]: it makes those captures anew that do not fit their tables any more, with
// what was masked and excluded. It captures a table again that was made again under its name, as migrations on
// SQLite do.
func (c *List) AfterSchema(ctx context.Context, conn *sql.DB) error {
	s := onSQLite(conn, c.Options)
	if err := s.Check(ctx, conn); err != nil {
		return nil //nolint:nilerr // nothing is captured, or in another schema
	}
	// The triggers of a captured table know its name now. Without triggers, a table is looked for by the name of its last capture, and
	// then by an earlier one: a migration may rename a table, copy it into another of its name, and drop it.
	names, err := catalog.ReadAll(ctx, conn, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) },
		"SELECT name FROM (SELECT DISTINCT coalesce((SELECT m.tbl_name FROM main.sqlite_master m WHERE m.type = 'trigger' AND m.name = "+s.TriggerOf("c.table_id")+"), t.name, (SELECT o.name FROM main.sqlite_master o WHERE o.type = 'table' AND "+s.Formerly("c", "o.name")+" LIMIT 1)) AS name FROM "+s.In("audit_captures")+" c"+
			" LEFT JOIN main.sqlite_master t ON t.type = 'table' AND t.name = c.table_name COLLATE NOCASE"+
			" WHERE c.shape_id IS NOT NULL AND c.number = (SELECT max(l.number) FROM "+s.In("audit_captures")+" l WHERE l.table_id = c.table_id)) WHERE name IS NOT NULL")
	if err != nil {
		return wrap("look for the captures", err)
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, wrap("capture "+name, s.recapture(ctx, conn, name)))
	}
	if len(names) > 0 {
		errs = append(errs, s.endSuspension(ctx, conn))
	}
	return errors.Join(errs...)
}

// endSuspension lets Breaks report tables that could not be captured again: from now on changes may be missing. If there are none, as is
// usual, it writes nothing, since that would take the write lock.
func (s sqlite) endSuspension(ctx context.Context, conn *sql.DB) error {
	captures := s.In("audit_captures")
	var some bool
	if err := conn.QueryRowContext(ctx, fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s WHERE resumed = %d)", captures, suspended)).Scan(&some); err != nil || !some {
		return err
	}
	_, err := conn.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET resumed = 0 WHERE resumed = %d", captures, suspended))
	return err
}

// recapture captures a table as it was captured before.
func (s sqlite) recapture(ctx context.Context, conn *sql.DB, name string) error {
	t, is, err := s.asBefore(ctx, conn, pgschema.Ident(name))
	if err != nil || t == nil {
		return err
	}
	// A statement through the driver gives no column the name of another: that was done by another program, and since then changes
	// have been kept under the earlier names.
	if step := s.step(t, is, len(t.Exchanged) > 0); step != nil {
		return runInSavepoint(ctx, conn, step.SQL)
	}
	return nil
}

// asBefore looks a table up with what was wanted of it at its last capture, nil if it had none. If the key that was declared
// cannot be the key any more, it goes on without.
func (s sqlite) asBefore(ctx context.Context, q catalog.Querier, name string) (*sqliteTarget, *deployed, error) {
	t, err := s.look(ctx, q, name)
	if err != nil {
		return nil, nil, err
	}
	is, err := s.deployed(ctx, q, t)
	if err != nil || is.Notes == nil { // another table has the name
		return nil, nil, err
	}
	n := is.Notes[0]
	w := Table{Name: name, Mask: namesOf(n.Mask), Exclude: namesOf(n.Exclude)}
	w.Mask = slices.DeleteFunc(w.Mask, func(m string) bool { return slices.Contains(w.Exclude, m) })
	if t, _, err = s.find(ctx, q, w); err != nil {
		return nil, nil, err
	}
	t.hidden.Mask = union(t.hidden.Mask, t.LastCapture.Hidden.Mask)
	t.hidden.Exclude = union(t.hidden.Exclude, t.LastCapture.Hidden.Exclude)
	is, err = s.deployed(ctx, q, t)
	return t, is, err
}

// runInSavepoint executes all statements in the app's transaction, or none: with half of its triggers a table would look captured.
func runInSavepoint(ctx context.Context, conn *sql.DB, queries []string) error {
	err := runAll(ctx, conn, slices.Concat([]string{"SAVEPOINT threadline_capture"}, queries, []string{"RELEASE threadline_capture"}))
	if err == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	return errors.Join(err, runAll(ctx, conn, []string{"ROLLBACK TO threadline_capture", "RELEASE threadline_capture"}))
}

func namesOf(list []catalog.NotedColumn) (names []string) {
	for _, n := range list {
		names = append(names, n.Name)
	}
	return union(names, nil)
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
