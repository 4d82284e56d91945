package journal_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// oddMembers are members of a document that no event of ours is.
var oddMembers = []string{
	`null`, `true`, `false`, `0`, `-0`, `1e400`, `-1e999999`, strings.Repeat("9", 70_000), `"abc"`, `""`, `"{\"action\":\"order.text\"}"`, `"\u0000"`, `"\ud800"`,
	`[]`, `["abc"]`, `[[[1],[2]],{}]`, `[{"action":"order.nested"}]`, `{}`, `{"a":"b"}`, `{"":0}`,
	`{"id":7,"occurred_at":7,"action":7,"outcome":[],"actor":7,"target":"x","metadata":"m","captured":"x"}`,
	`{"id":"x","occurred_at":"infinity","actor":{"type":{},"name":[]},"target":null,"metadata":null,"captured":7}`,
	`{"occurred_at":"0001-01-01 00:00:00 BC"}`, `{"occurred_at":"294277-01-01T00:00:00.000000Z"}`, `{"occurred_at":"0000-00-00T00:00:00.000000Z"}`,
	`{"action":"order.first","action":"order.second","actor":{"id":"1"},"actor":"x"}`, `{"metadata":{"a":1e400,"b":"\u0000\ud800"}}`, `{"comment":5,"ip_address":{},"actor":"x"}`,
	`{"metadata":` + strings.Repeat(`[`, 900) + strings.Repeat(`]`, 900) + `}`, strings.Repeat(`{"a":`, 5_000) + `0` + strings.Repeat(`}`, 5_000),
	`{"action":"\ud83d\ude00"}`, `{"action":"Ł"}`, "\"\xff\"", "{\"action\":\"\xff\xfe\"}", "\"\x00\"", "\"\x01\"", `{"action":"order.\u006edd"}`,
}

// oddDocuments are those that the row's number of events, 3, does not go with, or that are none.
func oddDocuments() []string {
	documents := []string{
		``, ` `, `null`, `true`, `7`, `"abc"`, `{"a":"b"}`, `{"0":{"action":"order.zero"},"1":{},"2":{}}`, `{"length":3}`, `[`, `[]`, `[,,]`, `["abc"]`, `[[1],[2]]`,
		`[{},{},{},{}]`, `[{},{},{}] x`, "[{},{},{}]\x00", "[{},{},{}]\x00x", "\x00", "\xef\xbb\xbf[{},{},{}]", "\xff", `[{a:1},'b',/**/NaN]`, `[1,2,3,]`, "[1,2,\xff]",
		"[" + strings.Repeat("0,", 1<<20) + "0]", strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000),
	}
	for _, m := range oddMembers {
		documents = append(documents, m, "["+m+"]", `[{"action":"order.odd"},`+m+`,{"action":"order.odd"}]`, "["+m+","+m+","+m+"]")
	}
	return documents
}

// FuzzView: whatever is in the documents of a row, the view has as many events of it as the row
// says, and all of the others.
func FuzzView(f *testing.F) {
	for _, doc := range oddDocuments() {
		f.Add([]byte(doc), true)
		f.Add([]byte(doc), false)
	}
	raw := &rig{e: dbtest.PQ, db: dbtest.Open(f, dbtest.PQ.Driver, dbtest.Shared(f).Encoded(f, "SQL_ASCII")), j: newJournal(f, hooks.Postgres, nil)}
	raw.session = newSession(f, raw.db)
	raw.connect(raw.session)
	rigs := append(quotingRigs(f), raw)
	f.Fuzz(func(t *testing.T, doc []byte, personal bool) {
		for _, r := range rigs {
			own := *r.session
			own.t = t
			(&rig{session: &own, e: r.e, j: r.j}).checkView(string(doc), personal)
		}
	})
}

func (r *rig) checkView(doc string, personal bool) {
	r.t.Helper()
	r.exec("BEGIN")
	defer r.exec("ROLLBACK")
	r.write(r.j, 1, event("order.before"))
	r.write(r.j, 1, events(3)...)
	r.write(r.j, 1, event("order.behind"))
	column := map[bool]string{false: "document", true: "personal"}[personal]
	if _, err := r.conn.ExecContext(ctx, r.e.Rebind("UPDATE "+tableOf(r.e)+" SET "+column+" = ? WHERE events = 3"), doc); err != nil {
		return // the database stores no such text
	}
	what := fmt.Sprintf("%s: %s = %.100q of %d bytes", r.e.Name, column, doc, len(doc))
	got, err := r.view()
	if err != nil || len(got) != 5 || got[0].action.String != "order.before" || got[4].action.String != "order.behind" {
		r.t.Errorf("%s: the view has %+v, %v", what, got, err)
		return
	}
	for i, e := range r.entries() {
		if v := got[i]; v.ordinal != e.Ordinal || e.Unreadable == "" && (v.action.String != e.Action || v.id.String != e.ID.String()) {
			r.t.Errorf("%s: the view has %+v, the journal %+v", what, v, e)
		} else if strings.HasPrefix(e.Unreadable, "document: ") && v.action.Valid {
			r.t.Errorf("%s: the view has the action %q of %s", what, v.action.String, e.Unreadable)
		}
	}
}

// viewed is some of what the view has of an event.
type viewed struct {
	ordinal    int
	id, action sql.NullString
	captured   bool
}

// view reads all columns of the view, as each of its readers may.
func (r *rig) view() (list []viewed, err error) {
	view, order := "aftercommit.audit_events", "key, ordinal"
	if r.e.Dialect == hooks.SQLite {
		view, order = "aftercommit_audit_events", "seq, ordinal"
	}
	rows, err := r.conn.QueryContext(ctx, "SELECT * FROM "+view+" ORDER BY "+order)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var v viewed
		dest := make([]any, len(names))
		for i, name := range names {
			switch name {
			case "ordinal":
				dest[i] = &v.ordinal
			case "id":
				dest[i] = &v.id
			case "action":
				dest[i] = &v.action
			case "captured":
				dest[i] = &v.captured
			case "occurred_at":
				if dest[i] = new(any); r.e.Dialect == hooks.Postgres {
					dest[i] = new(sql.NullTime)
				}
			default:
				dest[i] = new(sql.NullString)
			}
		}
		if err := rows.Scan(dest...); err != nil {
			return list, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// TestViewOverTheView: readers of an operator's own view need no rights on the schema, also
// where a document has what this database's encoding has not.
func TestViewOverTheView(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		reader := newRole(t, r)
		r.exec("CREATE VIEW public.trail AS SELECT action, comment FROM aftercommit.audit_events")
		r.exec("GRANT SELECT ON public.trail TO " + reader)
		r.exec(`SELECT aftercommit.write(gen_random_uuid(), 2, 1::int2, '[{"action":"order.placed"},{"action":"order.paid","tenant_id":"\u0000"}]', NULL, true, 100)`)
		r.exec("SET SESSION AUTHORIZATION " + reader)
		if got := r.text("SELECT string_agg(action, ' ') FROM public.trail"); got != "order.placed order.paid" && got != "order.placed" {
			t.Errorf("the reader sees %q", got)
		}
		r.exec("RESET SESSION AUTHORIZATION")
	}, dbtest.PostgresEngines()...)
}
