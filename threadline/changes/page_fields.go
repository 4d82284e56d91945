package changes

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/internal/errtext"
)

// refuseFields refuses fields of which nothing is kept in the tables that the query names: an empty
// page would look as if they had never changed.
func (r *pageReader) refuseFields(ctx context.Context) error {
	if len(r.query.Tables) == 0 || len(r.tables) == 0 {
		return nil
	}
	for id := range r.tables {
		if _, err := r.past.of(ctx, r.reader, r.tx, id); err != nil {
			return err
		}
	}
	if err := r.refuseKey(); err != nil {
		return err
	}
	if err := r.refuseFieldsOf(ctx, r.query); err != nil {
		return err
	}
	for i := range r.query.Not {
		if n := &r.query.Not[i]; len(n.Tables) == 0 {
			if err := negated(r.refuseFieldsOf(ctx, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuseKey refuses a key if all tables that are named have none, or one of more or fewer values.
func (r *pageReader) refuseKey() (err error) {
	if len(r.query.Key) == 0 {
		return nil
	}
	for _, t := range r.past {
		if err = t.CheckKey(r.query.Key); err == nil {
			return nil
		}
	}
	if err == nil {
		return nil
	}
	refused := refuse("key", "%s", errtext.Of(err))
	if errors.Is(err, ErrNoKey) {
		return &refusal{refused, ErrNoKey}
	}
	return refused
}

func (r *pageReader) refuseFieldsOf(ctx context.Context, q *Query) error {
	for _, name := range q.Fields {
		if err := r.refuseField(ctx, "field", name, false); err != nil {
			return err
		}
	}
	for _, v := range q.Old {
		if err := r.refuseValue(ctx, "old."+v.Field, v); err != nil {
			return err
		}
	}
	for _, v := range q.New {
		if err := r.refuseValue(ctx, "new."+v.Field, v); err != nil {
			return err
		}
	}
	return nil
}

func (r *pageReader) refuseValue(ctx context.Context, filter string, v FieldValue) error {
	if err := r.refuseField(ctx, filter, v.Field, true); err != nil {
		return err
	}
	letter := booleans[v.Text]
	if letter == "" {
		return nil
	}
	if is, err := r.isBoolean(ctx, v.Field); err != nil {
		return err
	} else if is {
		return refuse(filter, "%q is no value of a boolean, which PostgreSQL prints as t or f: write %s:%s", v.Text, filter, letter)
	}
	return nil
}

// booleans are how PostgreSQL prints what people write.
var booleans = map[string]string{"true": "t", "false": "f"}

// isBoolean reports whether a column is a boolean in all tables that have, or had, it.
func (r *pageReader) isBoolean(ctx context.Context, column string) (is bool, err error) {
	if _, ok := onSQLite(r.reader); ok {
		return false, nil
	}
	for _, t := range r.past {
		for _, sh := range t.Shapes {
			if i := sh.Position(column); i >= 0 {
				if is = sh.Columns[i].Type == "boolean"; !is {
					return false, nil
				}
			}
		}
	}
	if !is {
		return false, nil
	}
	drifted, unknown, err := r.driftedColumns(ctx)
	other := func(c catalog.Column) bool { return c.Name == column && c.Type != "boolean" }
	return !unknown && !slices.ContainsFunc(drifted, other), err
}

// refuseField refuses a field, or its values, unless one of the tables keeps it, or has kept it.
func (r *pageReader) refuseField(ctx context.Context, filter, name string, values bool) error {
	var masked, excluded string
	var all []catalog.Column
	for _, t := range r.past {
		for _, sh := range t.Shapes {
			table := sh.Schema + "." + sh.Table
			if i := sh.Position(name); i >= 0 {
				if !values || !sh.Columns[i].Masked {
					return nil
				}
				masked = table
			} else if slices.Contains(sh.Exclude, name) {
				excluded = table
			}
			all = append(all, sh.Columns...)
		}
	}
	drifted, unknown, err := r.driftedColumns(ctx)
	if err != nil || slices.ContainsFunc(drifted, func(c catalog.Column) bool { return c.Name == name }) {
		return err
	}
	all = append(all, drifted...)
	switch {
	case masked != "":
		return refuse(filter, "is masked in %s, so that its values are not kept: use field:%s", masked, name)
	case excluded != "":
		return refuse(filter, "%q is excluded in %s, so that nothing of it is kept", name, excluded)
	}
	if unknown {
		return nil
	}
	// On PostgreSQL what was added since the last plan is kept, too.
	if is, err := r.isColumn(ctx, name); is || err != nil {
		return err
	}
	return refuse(filter, "there is no field %q in the captured tables that are named%s", name, catalog.Meant(name, all))
}

// isColumn reports whether one of the tables has the column now, and keeps it.
func (r *pageReader) isColumn(ctx context.Context, name string) (is bool, err error) {
	if _, ok := onSQLite(r.reader); ok {
		return false, nil
	}
	for _, names := range r.tables {
		for _, n := range names {
			err = r.tx.QueryRowContext(ctx, "SELECT true FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"+
				" WHERE a.attnum > 0 AND NOT a.attisdropped AND n.nspname = "+pgtext.Literal(n[0])+" AND c.relname = "+pgtext.Literal(n[1])+" AND a.attname = "+pgtext.Literal(name)).Scan(&is)
			if !errors.Is(err, sql.ErrNoRows) {
				return is, err
			}
		}
	}
	return false, nil
}
