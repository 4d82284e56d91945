package changes_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

var pastBegan = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// past is a made history of t and u, and of who made it.
type past struct {
	*world
	r                 *rand.Rand
	xid, lsn          int
	changes, contexts []string
}

// makePast makes a history of an hour.
func (w *world) makePast(r *rand.Rand) *past {
	w.Helper()
	w.must(threadline.NewStore(w.db, hooks.Postgres, nil).Migrate(ctx))
	w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)")
	w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"})
	return &past{world: w, r: r, xid: 1_000_000}
}

// tx is a transaction that begins at a time, with changes so long after that, by some actors.
func (p *past) tx(began time.Time, after []time.Duration, by ...string) {
	p.xid++
	p.txOf(p.xid, began, after, by...)
}

func (p *past) txOf(xid int, began time.Time, after []time.Duration, by ...string) {
	for _, d := range after {
		p.lsn++
		p.changes = append(p.changes, fmt.Sprintf("(%d, '%s'::timestamptz, '%s'::timestamptz, %d, '%s', %d, '%c')", xid, began.Format(time.RFC3339Nano), began.Add(d).Format(time.RFC3339Nano), p.lsn, []string{"t", "u"}[p.r.IntN(2)], p.r.IntN(30), "IID"[p.r.IntN(3)]))
	}
	for _, actor := range by {
		ref := "NULL, NULL"
		if kind, id, ok := strings.Cut(actor, ":"); ok {
			ref = fmt.Sprintf("'%s', '%s'", kind, id)
		}
		tenant := []string{"NULL", "'shop'", "'other'"}[p.r.IntN(3)]
		p.contexts = append(p.contexts, fmt.Sprintf("(%d, '%s'::timestamptz, gen_random_uuid(), %s, %s, 'c%d', 'r%d', 1, now(), now(), now())", xid, began.Format(time.RFC3339Nano), ref, tenant, xid/7, xid/2))
	}
}

// write writes what was made.
func (p *past) write() {
	p.Helper()
	p.exec("INSERT INTO threadline.audit_changes (xid, tx_started_at, captured_at, lsn, table_id, shape_id, depth, op, old_tid, new_tid, key, old_row, new_row)"+
		" SELECT v.xid::text::xid8, v.began, v.captured, '1/0'::pg_lsn + v.lsn, h.table_id, h.id, 1, v.op::\"char\", CASE v.op WHEN 'D' THEN '(0,1)'::tid END, CASE v.op WHEN 'I' THEN '(0,1)'::tid END, concat('(', v.id, ')'),"+
		" CASE v.op WHEN 'D' THEN concat('(', v.id, ',', v.lsn, ')') END, CASE v.op WHEN 'I' THEN concat('(', v.id, ',', v.lsn, ')') END"+
		" FROM (VALUES "+strings.Join(p.changes, ", ")+") v (xid, began, captured, lsn, tab, id, op) JOIN threadline.audit_shapes h ON h.shape ->> 'table' = v.tab",
		"INSERT INTO threadline.audit_contexts (tx_id, tx_started_at, id, actor_type, actor_id, tenant_id, correlation_id, request_id, events, occurred_at, first_recorded_at, last_recorded_at) VALUES "+strings.Join(p.contexts, ", "),
		"ANALYZE threadline.audit_changes, threadline.audit_contexts")
}

// spread are times of n changes, in no order.
func (p *past) spread(n int, from, to time.Duration) (after []time.Duration) {
	for range n {
		after = append(after, from+time.Duration(p.r.Int64N(int64(to-from)/1e6))*time.Millisecond)
	}
	return after
}

// TestPageByWho compares the pages of those who made changes with what matches among all changes, and with those of a reader that has no
// indexes.
func TestPageByWho(t *testing.T) {
	with(t, func(w *world) {
		r := rand.New(rand.NewPCG(dbtest.Seed(w), 2))
		p := w.makePast(r)
		p.writeHour()
		everything := w.all(changes.Query{})
		namesOf := func(c changes.Change) []string { return []string{"public." + c.Table} }
		found := 0
		for i := range 26 {
			q := p.query(i)
			var want []changes.Change
			for _, c := range everything {
				if matches(q, c, namesOf) {
					want = append(want, c)
				}
			}
			found += len(want)
			w.wantSame(fmt.Sprintf("pages of %+v", q), w.pages(q), want)
			if i%4 == 0 {
				w.wantSame(fmt.Sprintf("pages of %+v, by both ways", q), w.pagesBothWays(q), want)
			}
		}
		if found == 0 {
			w.Error("no query has found anything")
		}
		for _, q := range []changes.Query{{ActorID: "rare"}, {ActorID: "often"}, {ActorID: "unknown"}, {RequestID: "r500100"}, {CorrelationID: "c142870"}, {Unattributed: true, CorrelationID: "c142870"}} {
			q.Limit = 50
			page := w.page(q)
			if again := w.pages(q); page.Next != "" || len(again) != len(page.Changes) {
				w.Errorf("%+v: a page of %d changes has a next %q, and all have %d", q, len(page.Changes), page.Next, len(again))
			}
			if scanned, fetched := w.reads(q); scanned != 0 || fetched > 200 {
				w.Errorf("%+v: %d changes read one after the other, %d by indexes", q, scanned, fetched)
			}
		}
	}, dbtest.PGX)
}

// at is a time within the hour.
func (p *past) at() time.Time {
	return pastBegan.Add(time.Duration(p.r.IntN(3600_000)) * time.Millisecond)
}

// writeHour writes transactions of several actors and of none, some of them long, or by a clock that was set back, or of many changes,
// or with the number of another one.
func (p *past) writeHour() {
	p.Helper()
	actors := []string{"user:a", "user:b", "user:c", "job:a", "job:nightly", "nobody"}
	some := func() (by []string) {
		for range p.r.IntN(4) {
			by = append(by, actors[p.r.IntN(len(actors))])
		}
		return by
	}
	for range 500 {
		p.tx(p.at(), p.spread(1+p.r.IntN(4), 0, 100*time.Millisecond), some()...)
	}
	for range 40 {
		p.tx(p.at(), p.spread(10, 0, 20*time.Minute), some()...)
		p.tx(p.at(), p.spread(3, -time.Minute, time.Minute), some()...)
		first := p.at()
		p.tx(first, p.spread(2, 0, time.Second), some()...)
		p.txOf(p.xid, first.Add(time.Minute), p.spread(2, 0, time.Second), some()...)
	}
	for range 400 {
		p.tx(p.at(), nil, "user:reader")
		p.tx(pastBegan.Add(20*time.Minute+time.Duration(p.r.IntN(5000))*time.Millisecond), p.spread(1, 0, time.Second), "user:burst")
	}
	p.tx(p.at(), p.spread(2, 0, time.Second), "user:reader", "user:rare")
	p.tx(p.at(), p.spread(2, 0, time.Hour), "user:rare")
	p.tx(p.at(), p.spread(3, 0, time.Second), strings.Split(strings.Repeat("user:often ", 70)+"user:often", " ")...)
	p.tx(pastBegan.Add(30*time.Minute), p.spread(2500, 0, 9*time.Second), "user:large", "user:a")
	p.tx(pastBegan.Add(30*time.Minute), p.spread(2500, 0, 20*time.Minute), "user:large", "user:b")
	p.write()
}

// query is the i-th query for who: first for each actor, and then for anything.
func (p *past) query(i int) changes.Query {
	r, q := p.r, changes.Query{Limit: 20 + p.r.IntN(300)}
	actors := []string{"a", "b", "nightly", "reader", "burst", "rare", "often", "large", "unknown", "é"}
	if i < len(actors) {
		q.ActorID = actors[i]
		return q
	}
	switch r.IntN(6) {
	case 0:
		q.CorrelationID = fmt.Sprintf("c%d", (1_000_000+r.IntN(p.xid-1_000_000))/7)
	case 1:
		q.RequestID = fmt.Sprintf("r%d", (1_000_000+r.IntN(p.xid-1_000_000))/2)
	case 2:
		q.Unattributed, q.CorrelationID = true, fmt.Sprintf("c%d", (1_000_000+r.IntN(p.xid-1_000_000))/7)
	default:
		q.ActorID = actors[r.IntN(len(actors))]
		q.ActorType = []hooks.ActorType{"", "", hooks.User, hooks.Job}[r.IntN(4)]
	}
	if r.IntN(3) == 0 {
		q.TenantID = "shop"
	}
	if r.IntN(3) == 0 {
		q.Tables = []string{"t"}
	}
	if r.IntN(4) == 0 {
		q.Ops = []changes.Op{changes.Delete}
	}
	if r.IntN(3) == 0 {
		q.Not = []changes.Query{{Tables: []string{"u"}, ActorID: "b"}}
	}
	if q.From = p.at(); r.IntN(4) > 0 {
		q.From = time.Time{}
	}
	if to := p.at(); r.IntN(4) == 0 && q.From.Before(to) {
		q.To = to
	}
	return q
}

// pagesBothWays returns what a query's pages have. Each second one is read without an index.
func (w *world) pagesBothWays(q changes.Query) (list []changes.Change) {
	w.Helper()
	for without := true; ; without = !without {
		if without {
			w.exec("ALTER INDEX threadline.audit_changes_late RENAME TO hidden")
		}
		page := w.page(q)
		if without {
			w.exec("ALTER INDEX threadline.hidden RENAME TO audit_changes_late")
		}
		if list = append(list, page.Changes...); page.Next == "" {
			return list
		}
		q.Cursor = page.Next
	}
}
