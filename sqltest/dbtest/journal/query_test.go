package journal_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestPagesWithinRows: a page begins and ends anywhere in what a flush has written.
func TestPagesWithinRows(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		list := events(40)
		for i, n := 0, 1; i < len(list); n++ {
			end := min(i+n, len(list))
			r.exec("BEGIN")
			r.write(r.j, int64(n), list[i:end]...)
			r.exec("COMMIT")
			i = end
		}
		for limit := 1; limit <= len(list)+1; limit++ {
			q, at := journal.Query{Limit: limit}, 0
			for {
				page, err := r.j.List(ctx, r.conn, q)
				if err != nil {
					t.Fatal(err)
				}
				left, err := r.j.Count(ctx, r.conn, q)
				if err != nil || int(left) != len(list)-at || len(page) != min(limit, len(list)-at) {
					t.Fatalf("after %d: %d entries of %d, %v; want %d of %d", at, len(page), left, err, limit, len(list)-at)
				}
				for _, entry := range page {
					if entry.ID != list[at].ID {
						t.Fatalf("limit %d: entry %d is %s", limit, at, entry.Action)
					}
					at++
				}
				if len(page) < limit {
					break
				}
				q.After = page[len(page)-1].Position
			}
		}
	})
}

// TestPagesAfterNoEntry: a position need not be that of an entry, as a bookmark from outside is
// not. What is greater follows.
func TestPagesAfterNoEntry(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		list := events(4)
		for i := range 2 {
			r.exec("BEGIN")
			r.write(r.j, int64(i), list[2*i:2*i+2]...)
			r.exec("COMMIT")
		}
		first := r.entries()[0].Key
		for ordinal, want := range map[int]int{math.MinInt: 4, -3: 4, -1: 4, 2: 2, hooks.MaxFlush: 2, math.MaxInt: 2} {
			q := journal.Query{After: journal.Position{Key: first, Ordinal: ordinal}, Limit: 3}
			page, err := r.j.List(ctx, r.conn, q)
			if err != nil || len(page) != min(want, q.Limit) || page[0].ID != list[4-want].ID {
				t.Errorf("after %d: %d entries, %v; want those of the last %d", ordinal, len(page), err, want)
			}
			if n, err := r.j.Count(ctx, r.conn, q); err != nil || int(n) != want {
				t.Errorf("after %d: %d are counted, %v; want %d", ordinal, n, err, want)
			}
		}
	})
}

func TestPages(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		list := events(7)
		r.exec("BEGIN")
		r.write(r.j, 1, list...)
		r.exec("COMMIT")
		var got []journal.Entry
		for q := (journal.Query{Limit: 3}); ; {
			page, err := r.j.List(ctx, r.conn, q)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page...)
			if len(page) < q.Limit {
				break
			}
			q.After = page[len(page)-1].Position
		}
		if want := actions(r.entries()); actions(got) != want || len(got) != 7 {
			t.Errorf("pages give %q, want %q", actions(got), want)
		}
	})
}

func TestEachGivesAllAndStops(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		list := events(1203) // more than two pages
		r.exec("BEGIN")
		for part := range slices.Chunk(list, 1000) {
			r.write(r.j, 1, part...)
		}
		r.exec("COMMIT")
		for _, test := range []struct{ limit, stop, want int }{
			{limit: 0, want: 1203}, {limit: 700, want: 700}, {limit: 1000, want: 1000}, {limit: 5000, want: 1203}, {stop: 3, want: 3},
		} {
			n := 0
			for entry, err := range r.j.Each(ctx, r.conn, journal.Query{Limit: test.limit}) {
				if err != nil || entry.ID != list[n].ID {
					t.Fatalf("position %d: %s, %v; want %s", n, entry.Action, err, list[n].Action)
				}
				// The one connection is free while the caller works.
				r.text("SELECT 'x'")
				if n++; n == test.stop {
					break
				}
			}
			if n != test.want {
				t.Errorf("limit %d, stop %d: %d entries, want %d", test.limit, test.stop, n, test.want)
			}
		}
	})
}

func TestQueryByTime(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		for range 3 {
			r.exec("BEGIN")
			r.write(r.j, 1, events(1)...)
			r.exec("COMMIT")
		}
		all := r.entries()
		at := all[1].RecordedAt
		for name, test := range map[string]struct {
			q    journal.Query
			want []journal.Entry
		}{
			"from":  {journal.Query{From: at}, all[1:]},
			"to":    {journal.Query{To: at}, all[:1]},
			"both":  {journal.Query{From: at, To: all[2].RecordedAt.In(time.FixedZone("", 3600))}, all[1:2]},
			"none":  {journal.Query{From: at.Add(time.Hour)}, nil},
			"after": {journal.Query{After: all[0].Position, To: all[2].RecordedAt}, all[1:2]},
		} {
			got, err := r.j.List(ctx, r.conn, test.q)
			if err != nil || len(got) != len(test.want) || len(got) > 0 && got[0].Position != test.want[0].Position {
				t.Errorf("%s: %d entries, %v; want %d", name, len(got), err, len(test.want))
			}
			n, err := r.j.Count(ctx, r.conn, test.q)
			if err != nil || int(n) != len(test.want) {
				t.Errorf("%s: Count = %d, %v; want %d", name, n, err, len(test.want))
			}
		}
	})
}

func TestQueryMistakes(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		if _, err := r.j.List(ctx, r.conn, journal.Query{Limit: -1}); err == nil || !strings.Contains(err.Error(), "negative") {
			t.Errorf("err = %v", err)
		}
		if got, err := r.j.ByKey(ctx, r.conn, nil); got != nil || err != nil {
			t.Errorf("ByKey of nothing = %v, %v", got, err)
		}
		r.exec("BEGIN")
		_, err := r.j.List(canceled(), r.conn, journal.Query{})
		if !errors.Is(err, canceled().Err()) {
			t.Errorf("err = %v, want that of the context", err)
		}
	})
}
