package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
)

// A capture inherits what another one masks or excludes of the same rows: that of the table which had its name
// before, of a partition that was captured by itself, and of the table of which it was a partition. Once a step
// has taken that over, the note of its function has all of it, so that only what came later is inherited again, and a plan
// that loosens it by hand is the last word.

// inherit reads what a capture inherits.
func (s *Database) inherit(ctx context.Context, q Querier, f *Relation, d *Deployed) error {
	err := s.inheritAttached(ctx, q, f, d)
	if err != nil {
		return err
	}
	readable := !f.Unknown
	if readable {
		err = q.QueryRowContext(ctx, "SELECT coalesce((SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"+
			" WHERE n.nspname = $1 AND c.relname = 'audit_shapes'), false)", s.Schema).Scan(&readable)
		if err != nil {
			return err
		}
	}
	if readable {
		return s.inheritCaptured(ctx, q, f, d)
	}
	return s.inheritNamed(ctx, q, f, d)
}

// inheritAttached reads the notes of captures whose triggers on rows are on partitions. Columns that were
// renamed since are also called as they are now, as in the parent.
func (s *Database) inheritAttached(ctx context.Context, q Querier, f *Relation, d *Deployed) (err error) {
	if f.Kind != "p" {
		return nil
	}
	d.Leaves, err = ReadAll(ctx, q, func(rows *sql.Rows) (n *Note, err error) {
		var body, text string
		var oid int64
		if err = rows.Scan(&body, &oid, &text); err != nil {
			return nil, err
		}
		n = noteOf(body)
		if n == nil || n.OID != uint32(oid) { // it was restored: numbers may be others
			return n, nil
		}
		var names map[int]string
		if err = json.Unmarshal([]byte(text), &names); err != nil {
			return nil, err
		}
		for _, list := range []*[]NotedColumn{&n.Mask, &n.Hash, &n.Exclude} {
			for _, o := range *list {
				if now := names[o.Number]; now != "" && now != o.Name {
					*list = append(*list, NotedColumn{Name: now})
				}
			}
		}
		return n, nil
	}, `SELECT pg_catalog.ltrim(p.prosrc, E'\n'), g.tgrelid::pg_catalog.int8,
			(SELECT pg_catalog.json_object_agg(a.attnum, a.attname) FROM pg_catalog.pg_attribute a WHERE a.attrelid = g.tgrelid AND a.attnum > 0 AND NOT a.attisdropped)::pg_catalog.text
		FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = $1 AND p.proname OPERATOR(pg_catalog.~~) 'capture\_%' AND p.proname <> $2 AND g.tgname OPERATOR(pg_catalog.~~) '`+RowTrigger+`%' AND g.tgparentid = 0::pg_catalog.oid
			AND g.tgrelid IN (SELECT t.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($3::pg_catalog.int8::pg_catalog.oid) t WHERE t.level > 0)
		ORDER BY p.proname`, s.Schema, f.Function(), int64(f.OID))
	return err
}

// ancestor is a capture of another table that had the name of this one, or of a partition, or had it as
// a partition.
type ancestor struct {
	name   string // of a table or partition that is captured now
	later  bool   // than the last capture of this table
	masked *Note
}

// inheritCaptured reads, in audit_captures, the last captures of other tables under the names of the table and its partitions.
func (s *Database) inheritCaptured(ctx context.Context, q Querier, f *Relation, d *Deployed) error {
	known := []string{} // names under which the table's last capture has taken over what there was
	var lsn, place string
	if n := f.LastCapture; n != nil {
		lsn, place = n.LSN, n.Place
		if n.ShapeID != nil {
			if n.Named(&f.Shape) {
				known = append(known, f.Qualified())
			}
			known = append(known, n.Partitions...)
		}
	}
	names := slices.Concat([]string{f.Qualified()}, f.Partitions)
	fresh := slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(known, name) })
	list, err := json.Marshal(names)
	if err != nil {
		return err
	}
	table := s.At("audit_captures")
	ancestors, err := ReadAll(ctx, q, func(rows *sql.Rows) (a ancestor, err error) {
		var text, body string
		if err = rows.Scan(&a.name, &a.later, &text, &body); err != nil {
			return a, err
		}
		sh := &Shape{}
		if err = json.Unmarshal([]byte(text), sh); err != nil {
			return a, err
		}
		a.masked = sh.masks()
		if n := noteOf(body); n != nil { // it has those of columns that were not there, too
			a.masked.add(n)
		}
		return a, nil
	}, `SELECT k.name, n.later, a.shape::pg_catalog.text, coalesce((SELECT pg_catalog.ltrim(p.prosrc, E'\n') FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
			WHERE pn.nspname = $1 AND p.proname = pg_catalog.concat('`+FunctionPrefix+`', pg_catalog.lpad(pg_catalog.to_hex(n.table_id), 16, '0'))), '')
		FROM (SELECT n.*, n.place = $4 AND n.lsn > nullif($5, '')::pg_catalog.pg_lsn OR n.place <> $4 AND n.place = `+s.Place()+` AS later,
				(SELECT pg_catalog.min(o.noted_at) FROM `+table+` o WHERE o.place = n.place) AS first, pg_catalog.concat('"', pg_catalog.replace(n.schema_name, '"', '""'), '"."', pg_catalog.replace(n.table_name, '"', '""'), '"') AS name
			FROM `+table+` n) n
		JOIN `+s.At("audit_shapes")+` a ON a.id = n.shape_id
		JOIN LATERAL (SELECT w.name FROM pg_catalog.json_array_elements_text($2::pg_catalog.json) w (name)
			WHERE w.name = n.name OR w.name IN (SELECT e.name FROM pg_catalog.json_array_elements_text(CASE pg_catalog.json_typeof(n.partitions) WHEN 'array' THEN n.partitions ELSE '[]' END) e (name))) k ON true
		WHERE n.table_id <> $3 AND ($6 OR n.later)
		ORDER BY n.first, n.lsn, n.noted_at`, s.Schema, string(list), f.TableID(), place, lsn, fresh)
	if err != nil {
		return err
	}
	last := make(map[string]*Note)
	for _, a := range ancestors {
		if a.later || !slices.Contains(known, a.name) {
			last[a.name] = a.masked
		}
	}
	for _, name := range names {
		if n := last[name]; n != nil {
			d.inherited = append(d.inherited, n)
		}
	}
	return nil
}

// inheritNamed is for roles that may not read audit_captures. It reads the notes of functions under the table's name, if
// it has none itself.
func (s *Database) inheritNamed(ctx context.Context, q Querier, f *Relation, d *Deployed) error {
	if own := noteOf(d.Body); own != nil && own.Schema == f.Schema && own.Table == f.Table {
		return nil
	}
	all, err := ReadAll(ctx, q, func(rows *sql.Rows) (*Note, error) {
		var body string
		err := rows.Scan(&body)
		return noteOf(body), err
	}, `SELECT pg_catalog.split_part(pg_catalog.ltrim(p.prosrc, E'\n'), E'\n', 1) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = $1 AND p.proname OPERATOR(pg_catalog.~~) 'capture\_%' ORDER BY p.proname`, s.Schema)
	for _, n := range all {
		if n != nil && n.Schema == f.Schema && n.Table == f.Table {
			d.inherited = append(d.inherited, n)
		}
	}
	return err
}

// masks are a note of what is masked and excluded in a shape.
func (s *Shape) masks() *Note {
	n := &Note{}
	for _, c := range s.Columns {
		switch c.Keeps() {
		case KeepsHashes:
			n.Hash = append(n.Hash, NotedColumn{Name: c.Name})
		case KeepsThat:
			n.Mask = append(n.Mask, NotedColumn{Name: c.Name})
		}
	}
	for _, name := range s.Exclude {
		n.Exclude = append(n.Exclude, NotedColumn{Name: name})
	}
	return n
}

// add adds the columns of another note, by name.
func (n *Note) add(o *Note) {
	named := func(list []NotedColumn) (names []NotedColumn) {
		for _, c := range list {
			names = append(names, NotedColumn{Name: c.Name})
		}
		return names
	}
	n.Mask, n.Hash, n.Exclude = append(n.Mask, named(o.Mask)...), append(n.Hash, named(o.Hash)...), append(n.Exclude, named(o.Exclude)...)
}

// All are the notes of what must not be loosened.
func (d *Deployed) All() []*Note { return slices.Concat(d.Notes, d.Leaves, d.inherited) }
