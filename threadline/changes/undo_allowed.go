package changes

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// What was in a table once need not be allowed there now: an enum may have lost a label, a column may have become NOT NULL, the table
// may have got a CHECK, and the partition may be gone. This is looked up only where no function of a role is called: it would run with
// the rights of the role that makes the undo. What is not looked up is a warning.

// checkConstraint is a CHECK or, without a name, the condition that a partition is for the row.
type checkConstraint struct {
	Name, Expression string
	Columns          []string
	Inert            bool // it calls only PostgreSQL's own functions
}

// String says what is in the way.
func (c *checkConstraint) String() string {
	if c.Name == "" {
		return "no partition is for the row"
	}
	return "CHECK " + pgschema.Ident(c.Name)
}

// checksOf is an expression for the constraints of the table c, as JSON. It needs the partition tree of c as tree.oids.
var checksOf = `(SELECT pg_catalog.json_agg(x.x) FROM (
		SELECT pg_catalog.json_build_object('name', k.conname, 'expression', pg_catalog.pg_get_expr(k.conbin, k.conrelid), 'inert', NOT ` + dependsOnOthers("c.oid") + `,
			'columns', (SELECT pg_catalog.json_agg(a.attname) FROM pg_catalog.unnest(k.conkey) x (number) JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.number)) AS x
		FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'
		UNION ALL SELECT pg_catalog.json_build_object('expression', pg_catalog.concat('coalesce(', coalesce(leaves.list, 'false'), ', false)'), 'columns', keys.columns, 'inert', keys.inert)
		FROM (SELECT pg_catalog.string_agg(pg_catalog.concat('(', pg_catalog.pg_get_partition_constraintdef(p.relid), ')'), ' OR ') FROM pg_catalog.pg_partition_tree(c.oid) p WHERE p.isleaf AND p.level > 0) leaves (list),
			(SELECT pg_catalog.json_agg(DISTINCT a.attname), pg_catalog.bool_and(d.partexprs IS NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_opclass o WHERE o.oid = ANY (d.partclass) AND o.opcnamespace <> 'pg_catalog'::pg_catalog.regnamespace))
				FROM pg_catalog.pg_partitioned_table d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.partrelid AND a.attnum = ANY (d.partattrs) WHERE d.partrelid = ANY (tree.oids)) keys (columns, inert)
		WHERE c.relkind = 'p' AND keys.columns IS NOT NULL) x)`

// dependsOnOthers is the condition that a constraint k of an object may execute what is not PostgreSQL's own. The catalog keeps no
// dependency on what is, but functions that are not IMMUTABLE count, too: ts_rewrite and query_to_xml execute whatever a text
// says. Enums do not count, because to look up a label calls no function of a role.
func dependsOnOthers(object string) string {
	return `(EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid AND d.refobjid <> ` + object + `
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND e.oid = d.refobjid AND e.typtype = 'e'))
		OR EXISTS (SELECT FROM pg_catalog.regexp_matches(k.conbin::pg_catalog.text, ':(?:funcid|opfuncid) ([0-9]+)', 'g') m (found) JOIN pg_catalog.pg_proc p ON p.oid = m.found[1]::pg_catalog.oid WHERE p.provolatile <> 'i'))`
}

// typesWithin is a condition for the type of a column a: that there is one t, of those that it is made of, for which another holds.
func typesWithin(condition string) string {
	return `EXISTS (WITH RECURSIVE m (type) AS (SELECT a.atttypid UNION SELECT x.type FROM m JOIN pg_catalog.pg_type t ON t.oid = m.type CROSS JOIN LATERAL (
				SELECT t.typelem WHERE t.typelem <> 0 AND t.typcategory = 'A' UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
				UNION ALL SELECT p.atttypid FROM pg_catalog.pg_attribute p WHERE t.typtype = 'c' AND p.attrelid = t.typrelid AND p.attnum > 0 AND NOT p.attisdropped) x (type))
			SELECT FROM m JOIN pg_catalog.pg_type t ON t.oid = m.type WHERE t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace AND (` + condition + `))`
}

// constrained is a condition for a type t: that its values are read by what a role has made. Only a superuser makes functions that read those of
// a base type.
var constrained = `t.typtype NOT IN ('b', 'c', 'd', 'e') OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND ` + dependsOnOthers("t.oid") + `)`

var (
	constrainedType = typesWithin(constrained)
	inertType       = `NOT ` + typesWithin(`t.typtype = 'b' AND NOT (t.typelem <> 0 AND t.typcategory = 'A') OR `+constrained)
)

// writtenValue is a value in the statement of a step.
type writtenValue struct {
	*step
	column, literal string
}

// checkTypes refuses values that are none of their types any more. It tries many at a time, and one by one only where that fails.
func (r *undoer) checkTypes(ctx context.Context, steps []*step) error {
	var all []writtenValue
	for _, st := range steps {
		all = append(all, r.written(st)...)
	}
	unread := make(map[string]bool)
	var list []string
	for _, v := range all {
		if _, known := unread[v.literal]; !known {
			unread[v.literal] = false
			list = append(list, v.literal)
		}
	}
	for chunk := range slices.Chunk(list, atOnce) {
		ok, err := r.reads(ctx, chunk...)
		if err != nil {
			return err
		}
		for i := 0; !ok && i < len(chunk); i++ {
			one, err := r.reads(ctx, chunk[i])
			if err != nil {
				return err
			}
			unread[chunk[i]] = !one
		}
	}
	refused := make(map[*step][]string)
	for _, v := range all {
		if unread[v.literal] && !slices.Contains(refused[v.step], v.column) {
			refused[v.step] = append(refused[v.step], v.column)
		}
	}
	for _, st := range steps {
		if refused[st] != nil {
			r.refuse(st.table, st.keyNow(), refused[st], "their types no longer take the values that they had: a label, an attribute or a domain was changed since")
		}
	}
	return nil
}

// written are the values, in the statement of a step, of types that are not PostgreSQL's own.
func (r *undoer) written(st *step) (list []writtenValue) {
	var sets []*Field
	for i := range st.table.Columns {
		c := &st.table.Columns[i]
		if c.native || c.Space == "pg_catalog" {
			continue
		}
		if sets == nil {
			sets = st.sets()
		}
		f := st.field(c.Name)
		var values []Value
		if f != nil && st.existed && slices.Contains(sets, f) {
			values = append(values, f.Old)
		}
		if f != nil && st.exists && st.guard(c) != nil {
			values = append(values, f.New)
		}
		if k := slices.Index(st.table.key, c.Name); f == nil && k >= 0 {
			values = st.keys(k)
		}
		if len(values) > 0 && c.Domain && !c.Inert {
			r.warnOnce("whether the domain of " + pgschema.Ident(c.Name) + " of " + st.table.label() + " takes its former values is not looked up: if it does not, the statement fails")
		}
		for _, v := range values {
			if c.Inert {
				list = append(list, writtenValue{st, c.Name, c.literal(v)})
			}
		}
	}
	return list
}

// keys are the values that a column of the key has in the statement, by its place in the key.
func (st *step) keys(column int) (values []Value) {
	for _, key := range [][]string{st.before, st.after} {
		if column < len(key) {
			values = append(values, Value{Text: &key[column]})
		}
	}
	return values
}

// reads reports whether literals are values of their types.
func (r *snapshot) reads(ctx context.Context, literals ...string) (bool, error) {
	text, err := r.tried(ctx, "SELECT pg_catalog.concat(pg_catalog.num_nulls(ROW("+strings.Join(literals, ", ")+")))")
	return text.Valid, err
}

func (r *undoer) warnOnce(text string) {
	if !slices.Contains(r.undo.Warnings, text) {
		r.undo.Warnings = append(r.undo.Warnings, text)
	}
}

// checkConstraints finds rows that a NOT NULL or a CHECK would not allow, or that no partition is for.
func (r *undoer) checkConstraints(ctx context.Context, t *undoTable, steps []*step) error {
	for chunk := range slices.Chunk(steps, atOnce) {
		sets := make(map[*step][]*Field)
		for _, st := range chunk {
			if st.table == t && st.existed {
				sets[st] = st.sets()
				r.notNull(st, sets[st])
			}
		}
		for i := range t.Checks {
			check := &t.Checks[i]
			var concerned []*step
			for _, st := range chunk {
				if slices.ContainsFunc(sets[st], func(f *Field) bool { return slices.Contains(check.Columns, f.Name) }) {
					concerned = append(concerned, st)
				}
			}
			if err := r.check(ctx, t, concerned, check); err != nil {
				return err
			}
		}
	}
	return nil
}

// notNull finds columns that would be NULL, and must not be.
func (r *undoer) notNull(st *step, sets []*Field) {
	var columns []string
	for i := range st.table.Columns {
		c := &st.table.Columns[i]
		if !c.NotNull || c.Generated {
			continue
		}
		f := st.field(c.Name)
		switch {
		case f == nil && st.op() == Insert && !slices.Contains(st.table.key, c.Name) && !c.Default && !c.native,
			f != nil && f.Old.Text == nil && slices.Contains(sets, f):
			columns = append(columns, c.Name)
		}
	}
	if len(columns) > 0 {
		r.conflict(st, NotAllowed, columns, "NOT NULL")
	}
}

// check finds rows that a CHECK would not allow.
func (r *undoer) check(ctx context.Context, t *undoTable, steps []*step, check *checkConstraint) error {
	if len(steps) == 0 {
		return nil
	}
	unknown := func() {
		r.warnOnce("whether this is in the way of a row of " + t.label() + " is not looked up: " + check.String())
	}
	if !check.Inert || slices.ContainsFunc(check.Columns, func(name string) bool { return t.column(name) == nil || !t.column(name).Inert }) {
		unknown()
		return nil
	}
	ordinal := "n"
	for t.column(ordinal) != nil {
		ordinal += "n"
	}
	names := []string{ordinal}
	for _, name := range check.Columns {
		names = append(names, pgschema.Ident(name))
	}
	var list []string
	for n, st := range steps {
		literals := []string{strconv.Itoa(n)}
		for _, name := range check.Columns {
			if v, known := st.was(name); known && (!t.column(name).Generated || st.field(name) != nil) {
				literals = append(literals, t.column(name).literal(v))
			}
		}
		if len(literals) <= len(check.Columns) {
			unknown()
			continue
		}
		list = append(list, "("+strings.Join(literals, ", ")+")")
	}
	if len(list) == 0 {
		return nil
	}
	text, err := r.tried(ctx, fmt.Sprintf("SELECT pg_catalog.concat(pg_catalog.string_agg(%s::pg_catalog.text, ' ')) FROM (VALUES %s) %s (%s) WHERE (%s) IS FALSE",
		ordinal, strings.Join(list, ", "), pgschema.Ident(t.named.Table), strings.Join(names, ", "), check.Expression))
	if err != nil {
		return err
	}
	if !text.Valid { // it cannot be computed
		unknown()
	}
	for _, n := range strings.Fields(text.String) {
		i, err := strconv.Atoi(n)
		if err != nil {
			return err
		}
		r.conflict(steps[i], NotAllowed, check.Columns, check.String())
	}
	return nil
}
