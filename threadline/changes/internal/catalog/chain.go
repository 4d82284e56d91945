package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// Capture is a row of audit_captures: a table as it was when a step of a plan was applied to it.
type Capture struct {
	TableID    int64    `json:"table_id"`
	NotedAt    string   `json:"noted_at"`
	LSN        string   `json:"lsn"`
	Place      string   `json:"place"`
	OID        uint32   `json:"table_oid"`
	Schema     string   `json:"schema_name"`
	Table      string   `json:"table_name"`
	ShapeID    *int64   `json:"shape_id"` // nil: the capture was removed
	Partitions []string `json:"partitions"`
	Resumed    bool     `json:"resumed"`

	Columns []string `json:"-"` // on SQLite: all that the table had
}

// Named reports whether the table had this name.
func (c *Capture) Named(s *Shape) bool { return c.Schema == s.Schema && c.Table == s.Table }

// Time returns when the step was applied.
func (c *Capture) Time() (time.Time, error) { return time.Parse(lenient.TimeForm, c.NotedAt) }

// Place is an expression for where OIDs mean the same. A restore makes audit_captures anew, and with it all
// other tables; in another cluster or database the OID of audit_captures may be the same by chance.
func (s *Database) Place() string {
	return "(SELECT pg_catalog.concat(i.system_identifier, '/', d.oid, '/', " + pgtext.Literal(s.At("audit_captures")) + "::pg_catalog.regclass::pg_catalog.oid)" +
		" FROM pg_catalog.pg_control_system() i, pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())"
}

// Captures returns those of all tables that have, or had, this name, this OID here, or one of these IDs, in the order in which
// they were made; and the place of this database.
func (s *Database) Captures(ctx context.Context, q pgschema.Querier, sh *Shape, ids ...int64) (captures []*Capture, place string, err error) {
	if ids == nil {
		ids = []int64{}
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, "", err
	}
	var text string
	table := s.At("audit_captures")
	err = q.QueryRowContext(ctx, `WITH here (place) AS (SELECT `+s.Place()+`), ids AS (
			SELECT n.table_id FROM `+table+` n, here h WHERE n.table_name = $2 AND (n.schema_name = $1 OR n.place = h.place AND n.table_oid = $3)
			UNION SELECT n.table_id FROM `+table+` n, here h WHERE n.place = h.place AND n.table_oid = $3
			UNION SELECT i::pg_catalog.int8 FROM pg_catalog.json_array_elements_text($4::pg_catalog.json) i)
		SELECT h.place, coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('table_id', n.table_id, 'noted_at', `+pgtext.Time("n.noted_at")+`, 'lsn', n.lsn, 'place', n.place, 'table_oid', n.table_oid,
			'schema_name', n.schema_name, 'table_name', n.table_name, 'shape_id', n.shape_id, 'partitions', n.partitions, 'resumed', n.resumed)
			ORDER BY first.noted_at, n.lsn, n.noted_at)
			FROM `+table+` n, LATERAL (SELECT pg_catalog.min(f.noted_at) AS noted_at FROM `+table+` f WHERE f.place = n.place) first
			WHERE n.table_id IN (SELECT i.table_id FROM ids i)), '[]')::pg_catalog.text FROM here h`,
		sh.Schema, sh.Table, int64(sh.OID), string(list)).Scan(&place, &text)
	if err != nil {
		return nil, "", err
	}
	return captures, place, json.Unmarshal([]byte(text), &captures)
}

// identify finds out which table this is: by its OID the same as one of another name, by its name or
// its trigger the same as one that was restored, or a new one, though another had its name. Nothing in it
// fails for lack of rights or tables: that would end the caller's transaction.
func (s *Database) identify(ctx context.Context, q pgschema.Querier, f *Relation) error {
	attached, readable, err := s.attached(ctx, q, f)
	if err != nil {
		return err
	}
	if !readable {
		f.Unknown = true
		if len(attached) > 0 {
			f.SetTableID(attached[0])
		}
		return nil
	}
	captures, place, err := s.Captures(ctx, q, &f.Shape, attached...)
	if err != nil {
		return err
	}
	f.SetTableID(which(f, captures, place, attached))
	for _, n := range captures {
		if n.TableID == f.TableID() {
			f.LastCapture = n
		}
	}
	f.Place = place
	return nil
}

// attached are the IDs that the row triggers on a table write. A trigger is restored with its table, and
// goes when that is dropped. readable says that audit_captures can be read.
func (s *Database) attached(ctx context.Context, q pgschema.Querier, f *Relation) (ids []int64, readable bool, err error) {
	var text string
	err = q.QueryRowContext(ctx, `SELECT coalesce(pg_catalog.json_agg(p.proname ORDER BY p.proname), '[]')::pg_catalog.text,
			coalesce((SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
				FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $2 AND c.relname = 'audit_captures'), false)
		FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE g.tgrelid = $1::pg_catalog.int8::pg_catalog.oid AND n.nspname = $2 AND g.tgname OPERATOR(pg_catalog.~~) '`+RowTrigger+`%' AND g.tgparentid = 0::pg_catalog.oid`, int64(f.OID), s.Schema).Scan(&text, &readable)
	if err != nil {
		return nil, false, err
	}
	var names []string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, false, err
	}
	for _, name := range names {
		if id, err := strconv.ParseInt(strings.TrimPrefix(name, FunctionPrefix), 16, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, readable, nil
}

// which returns a table's ID, from the captures that may be of it.
func which(f *Relation, captures []*Capture, place string, attached []int64) int64 {
	last := make(map[int64]*Capture)
	here := make(map[int64]bool)
	var byOID *Capture
	for _, n := range captures {
		last[n.TableID] = n
		here[n.TableID] = here[n.TableID] || n.Place == place
		if n.Place == place && n.OID == f.OID {
			byOID = n
		}
	}
	if byOID != nil {
		return byOID.TableID
	}
	// A table that was captured here has another OID, so that this is not it.
	for _, id := range attached {
		if !here[id] {
			return id
		}
	}
	for _, n := range slices.Backward(captures) {
		if !n.Named(&f.Shape) {
			continue
		}
		if last[n.TableID] == n && !here[n.TableID] {
			return n.TableID
		}
		break // the last table of the name has another one now, or was here and is gone
	}
	id := TableIDOf(f.Schema, f.Table)
	if last[id] == nil {
		return id
	}
	return Digest(fmt.Sprintf("%d %s %d", id, place, f.OID))
}

// SetTableID keeps the shapes of tables that never had another name as they are without an ID.
func (s *Shape) SetTableID(id int64) {
	s.ID = 0
	if id != TableIDOf(s.Schema, s.Table) {
		s.ID = id
	}
}

// SplitCaptures splits captures into those of one table and those of others.
func SplitCaptures(all []*Capture, id int64) (own, others []*Capture) {
	for _, n := range all {
		if n.TableID == id {
			own = append(own, n)
		} else {
			others = append(others, n)
		}
	}
	return own, others
}

// CapturesReadable reports whether the role may read audit_captures.
func (s *Database) CapturesReadable(ctx context.Context, q pgschema.Querier) (readable bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT coalesce((SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'audit_captures'), false)`, s.Schema).Scan(&readable)
	return readable, err
}
