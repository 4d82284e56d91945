package reading

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// AtOnce is how many rows one query looks up.
const AtOnce = 500

// HowMany is an expression for LookUp that the server counts: any number of rows may refer to one.
const HowMany = "pg_catalog.count(*)::pg_catalog.text"

// LiveRows returns the rows of a table that have keys now, without the values that are too long for a change: nil for one that is not there.
func (r *Snapshot) LiveRows(ctx context.Context, t *Table, keys [][]string) ([]map[string]change.Value, error) {
	if len(t.Key) == 0 {
		return make([]map[string]change.Value, len(keys)), nil
	}
	if s, ok := r.Reader.OnSQLite(); ok {
		return s.liveRows(ctx, r.Tx, t, keys)
	}
	var list []string
	for _, c := range t.Columns {
		// No change has a value whose text is longer than LongText. A value that takes more than 1 MiB in the table has
		// such a text, which might even be longer than texts can be.
		column := "t." + pgschema.Ident(c.Name)
		list = append(list, "CASE WHEN pg_catalog.pg_column_size("+column+") > 1048576 THEN pg_catalog.repeat('x', "+strconv.Itoa(catalog.LongText+1)+") WHEN pg_catalog.num_nulls("+column+") = 0 THEN pg_catalog.concat("+column+") END")
	}
	live := make([]map[string]change.Value, len(keys))
	expression := "ROW(" + strings.Join(list, ", ") + ")::pg_catalog.text"
	err := r.LookUp(ctx, len(keys), t.Key, func(n, i int) change.Value { return change.Value{Text: &keys[n][i]} }, t, t.Only(), t.Key, expression, func(n int, text string) error {
		values, err := rowtext.Parse(text)
		if err != nil || len(values) != len(t.Columns) {
			return fmt.Errorf("the row is not as it was read: %w", err)
		}
		live[n] = make(map[string]change.Value)
		for i, c := range t.Columns {
			if values[i] == nil || len(*values[i]) <= catalog.LongText {
				live[n][c.Name] = change.Value{Text: values[i]}
			}
		}
		return nil
	})
	if err != nil {
		return nil, catalog.Wrap("look up the rows of "+t.Name, err)
	}
	if slices.ContainsFunc(live, func(one map[string]change.Value) bool { return one == nil }) {
		return live, r.CheckIntact(ctx, t.OID)
	}
	return live, nil
}

// LookUp calls f with an expression of each row t of a table whose columns is have certain values: those that value returns for n, from 0
// to count-1. types are the columns of typed whose types these values have, one for each in is.
func (r *Snapshot) LookUp(ctx context.Context, count int, types []string, value func(n, i int) change.Value, typed *Table, table string, is []string, expression string, f func(n int, text string) error) error {
	if s, ok := r.Reader.OnSQLite(); ok {
		return s.lookUp(ctx, r.Tx, count, value, table, is, expression, f)
	}
	var names, conditions []string
	for i, name := range types {
		c := typed.Column(name)
		n := "v" + strconv.Itoa(i)
		names = append(names, n)
		conditions = append(conditions, c.matches("t."+pgschema.Ident(is[i]), "v."+n))
	}
	for from := 0; from < count; from += AtOnce {
		var list []string
		for n := from; n < min(from+AtOnce, count); n++ {
			literals := []string{strconv.Itoa(n - from)}
			for i, name := range types {
				literals = append(literals, typed.Column(name).comparand(value(n, i)))
			}
			list = append(list, "("+strings.Join(literals, ", ")+")")
		}
		type found struct {
			n    int
			text string
		}
		query := "SELECT v.n, " + expression + " FROM (VALUES " + strings.Join(list, ", ") + ") v (n, " + strings.Join(names, ", ") + ") JOIN " + table + " t ON " + strings.Join(conditions, " AND ")
		if expression == HowMany {
			query += " GROUP BY v.n"
		}
		rows, err := catalog.ReadAll(ctx, r.Tx, func(rows *sql.Rows) (one found, err error) { return one, rows.Scan(&one.n, &one.text) }, query)
		if err != nil {
			return err
		}
		for _, one := range rows {
			if err := f(from+one.n, one.text); err != nil {
				return err
			}
		}
	}
	return nil
}
