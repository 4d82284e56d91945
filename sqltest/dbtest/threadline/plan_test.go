package threadline_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

const planRows = 20_000

// planned are queries and the index that their pages must walk. Their rows are a
// small part of the table, but many more than a page.
var planned = []struct {
	name, index string
	q           threadline.Query
	few         bool // so few rows that they may be sorted: a request's, or MaxLooked
}{
	{name: "all", index: "audit_actions_time"},
	{name: "from to", index: "audit_actions_time", q: threadline.Query{From: start, To: start.Add(planRows / 2 * time.Second)}},
	{name: "outcome", index: "audit_actions_time", q: threadline.Query{Outcome: hooks.Success}},
	{name: "actor type", index: "audit_actions_time", q: threadline.Query{ActorType: hooks.User}},
	{name: "actor", index: "audit_actions_actor", q: threadline.Query{ActorType: hooks.User, ActorID: "7"}},
	{name: "action", index: "audit_actions_name", q: threadline.Query{Action: "noun7.verb"}},
	{name: "target", index: "audit_actions_target", q: threadline.Query{TargetType: "order", TargetID: "7"}},
	{name: "tenant", index: "audit_actions_tenant", q: threadline.Query{TenantID: "7"}},
	{name: "correlation", index: "audit_actions_correlation", q: threadline.Query{CorrelationID: "7"}},
	{name: "text", index: "audit_actions_time", q: threadline.Query{Text: []string{"needle"}}, few: true},
	{name: "text of a target", index: "audit_actions_target", q: threadline.Query{TargetType: "order", TargetID: "7", Text: []string{"verb"}}, few: true},
	{name: "not", index: "audit_actions_time", q: threadline.Query{Not: []threadline.Query{{ActorType: hooks.User}}}, few: true},
	{name: "request", index: "audit_actions_request", q: threadline.Query{RequestID: "7"}, few: true},
}

// TestPagesWalkAnIndex explains the second page of each query over 20,000 rows.
// A Seq Scan or a full Sort would read all that matches for each page.
func TestPagesWalkAnIndex(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db, statements := spied(t, e)
		s := threadline.NewStore(db, e.Dialect, nil)
		if err := s.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		rows := planRows
		if e.Dialect == hooks.SQLite { // it has no costs that a table's size would sway
			rows = 5000
		}
		record(t, s, planEntries(rows)...)
		exec(t, db, "ANALYZE")
		for _, p := range planned {
			t.Run(p.name, func(t *testing.T) {
				p.q.Limit = 20
				if p.few {
					p.q.Limit = 2
				}
				p.q.Cursor = timeline(t, s, p.q).Next
				if p.q.Cursor == "" {
					t.Fatal("one page only: the test has too few rows")
				}
				statements.reset()
				timeline(t, s, p.q)
				var plan string
				for _, st := range statements.all() { // one, or two with Text and Not
					part := explain(t, db, e, st)
					if !strings.Contains(part, "audit_actions_") {
						t.Errorf("%s uses no index:\n%s", st.query, part)
					}
					plan += part
				}
				if !strings.Contains(plan, p.index+" ") && !strings.Contains(plan, p.index+"\n") {
					t.Errorf("the index %s is not used:\n%s", p.index, plan)
				}
				for _, bad := range []string{"Seq Scan", "SCAN", "Bitmap"} {
					if strings.Contains(plan, bad) && !strings.Contains(plan, "USING INDEX") && !p.few {
						t.Errorf("%s:\n%s", bad, plan)
					}
				}
				if sorts(plan) && !p.few {
					t.Errorf("the page is sorted:\n%s", plan)
				}
			})
		}
	})
}

// sorts reports whether a plan sorts more than ties: PostgreSQL's Incremental
// Sort and SQLite's LAST TERM sort only within equal times.
func sorts(plan string) bool {
	for line := range strings.Lines(plan) {
		if strings.Contains(line, "Sort  (") && !strings.Contains(line, "Incremental Sort") ||
			strings.Contains(line, "USE TEMP B-TREE FOR ORDER BY") {
			return true
		}
	}
	return false
}

// planEntries have a hundred values of each filter, and requests of five actions.
func planEntries(rows int) []journal.Entry {
	entries := make([]journal.Entry, rows)
	for i := range entries {
		e := entry(i)
		n := strconv.Itoa(i % 100)
		e.ID = uuid.UUID{byte(i >> 8), byte(i), 6: 0x70, 8: 0x80}
		e.Actor = hooks.Actor{Type: hooks.User, ID: n}
		e.Action = "noun" + n + ".verb"
		e.Target = hooks.Target{Type: "order", ID: n}
		e.TenantID, e.CorrelationID, e.RequestID = n, n, strconv.Itoa(i/5)
		entries[i] = e
	}
	return entries
}

func explain(t *testing.T, db *sql.DB, e dbtest.Engine, st statement) string {
	t.Helper()
	prefix := "EXPLAIN "
	if e.Dialect == hooks.SQLite {
		prefix = "EXPLAIN QUERY PLAN "
	}
	rows, err := db.QueryContext(context.Background(), prefix+st.query, values(st.args)...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		dst := make([]any, len(columns))
		for i := range dst {
			dst[i] = new(sql.NullString)
		}
		if err := rows.Scan(dst...); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(dst[len(dst)-1].(*sql.NullString).String + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

func values(args []driver.NamedValue) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = a.Value
	}
	return out
}
