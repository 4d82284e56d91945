package threadline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

func TestOrderIsTimeThenSeqThenID(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		var want []journal.Entry // oldest first
		for _, at := range []time.Duration{-time.Second, 0, time.Microsecond, time.Second} {
			for _, seq := range []int{-1, 9, 10} {
				for _, id := range []string{"00000000-0000-7000-8000-0000000000", "7fffffff-ffff-7fff-bfff-ffffffffff", "80000000-0000-7000-8000-0000000000", "ffffffff-ffff-7fff-bfff-ffffffffff"} {
					entry := entry(0)
					entry.ID = uuid.MustParse(fmt.Sprintf("%s%02x", id, len(want)))
					entry.RecordedAt, entry.Ordinal = start.Add(at), seq
					want = append(want, entry)
				}
			}
		}
		shuffled := slices.Clone(want)
		rng := rand.New(rand.NewPCG(1, 2))
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		record(t, s, shuffled...)
		if got := ids(timeline(t, s, threadline.Query{}).Actions); !slices.Equal(got, reversed(want)) {
			t.Errorf("got  %v\nwant %v", got, reversed(want))
		}
		for limit := 1; limit <= 7; limit++ {
			if got := walk(t, s, threadline.Query{Limit: limit}, nil); !slices.Equal(got, reversed(want)) {
				t.Errorf("in pages of %d:\ngot  %v\nwant %v", limit, got, reversed(want))
			}
		}
	})
}

// walk reads all pages and calls between after each.
func walk(t *testing.T, s *threadline.Store, q threadline.Query, between func(n int)) []uuid.UUID {
	t.Helper()
	var got []uuid.UUID
	for n := 0; ; n++ {
		page := timeline(t, s, q)
		got = append(got, ids(page.Actions)...)
		if page.Next == "" {
			return got
		}
		if n > 1000 {
			t.Fatal("the pages have no end")
		}
		if len(page.Actions) != q.Limit {
			t.Fatalf("a page of %d, not the last, with limit %d", len(page.Actions), q.Limit)
		}
		q.Cursor = page.Next
		if between != nil {
			between(n)
		}
	}
}

// TestPagesWhileRowsArrive adds rows with the very timestamps of those that are
// being read, above and below the reader. What was there at the start must come
// exactly once, and nothing twice.
func TestPagesWhileRowsArrive(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		rng := rand.New(rand.NewPCG(3, 4))
		random := func() journal.Entry {
			e := entry(0)
			e.ID = uuid.UUID{byte(rng.Uint32()), 6: 0x70, 8: 0x80, 12: byte(rng.Uint32()), 13: byte(rng.Uint32()), 14: byte(rng.Uint32()), 15: byte(rng.Uint32())}
			e.RecordedAt = start.Add(time.Duration(rng.IntN(3)) * time.Microsecond)
			e.Ordinal = rng.IntN(3)
			return e
		}
		before := map[uuid.UUID]bool{}
		for range 100 {
			e := random()
			before[e.ID] = true
			record(t, s, e)
		}
		got := walk(t, s, threadline.Query{Limit: 7}, func(n int) {
			if n < 20 {
				record(t, s, random(), random(), random())
			}
		})
		seen := map[uuid.UUID]bool{}
		for _, id := range got {
			if seen[id] {
				t.Errorf("%s came twice", id)
			}
			seen[id] = true
		}
		for id := range before {
			if !seen[id] {
				t.Errorf("%s was there before the first page and never came", id)
			}
		}
		if len(got) <= len(before) {
			t.Error("no row that arrived below the reader was seen")
		}
	})
}

// TestLateRowTakesItsPlace delivers an entry after younger ones.
func TestLateRowTakesItsPlace(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		all := []journal.Entry{entry(1), entry(2), entry(3), entry(4), entry(5)}
		record(t, s, all[0], all[2], all[4])
		first := timeline(t, s, threadline.Query{Limit: 2}) // 5, 3
		record(t, s, all[1], all[3])
		rest := timeline(t, s, threadline.Query{Limit: 2, Cursor: first.Next})
		if got, want := ids(rest.Actions), []uuid.UUID{all[1].ID, all[0].ID}; !slices.Equal(got, want) {
			t.Errorf("after the cursor: %v, want %v", got, want)
		}
		if got := ids(timeline(t, s, threadline.Query{}).Actions); !slices.Equal(got, reversed(all)) {
			t.Errorf("from the top: %v, want %v", got, reversed(all))
		}
	})
}

// TestBoundsAreHalfOpen also takes bounds finer than what the tables resolve.
func TestBoundsAreHalfOpen(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		var all []journal.Entry
		for i := range 5 {
			e := entry(i)
			e.RecordedAt = start.Add(time.Duration(i) * time.Microsecond)
			all = append(all, e)
		}
		record(t, s, all...)
		zone := time.FixedZone("", 5*3600+1800)
		for _, tt := range []struct {
			from, to time.Duration // 0: none
			want     []journal.Entry
		}{
			{2 * time.Microsecond, 0, all[2:]},
			{0, 2 * time.Microsecond, all[:2]},
			{1 * time.Microsecond, 4 * time.Microsecond, all[1:4]},
			{1 * time.Microsecond, 1*time.Microsecond + 1, all[1:2]},
			{1*time.Microsecond + 1, 3*time.Microsecond + 400, all[2:4]},
			{1*time.Microsecond + 600, 3*time.Microsecond + 600, all[2:4]},
		} {
			var q threadline.Query
			if tt.from != 0 {
				q.From = start.Add(tt.from).In(zone)
			}
			if tt.to != 0 {
				q.To = start.Add(tt.to).In(zone)
			}
			if got := ids(timeline(t, s, q).Actions); !slices.Equal(got, reversed(tt.want)) {
				t.Errorf("from %s to %s: %v, want %v", tt.from, tt.to, got, reversed(tt.want))
			}
		}
	})
}

func TestLimits(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		entries := make([]journal.Entry, 501)
		for i := range entries {
			entries[i] = entry(i)
		}
		record(t, s, entries...)
		for limit, want := range map[int]int{0: 50, 1: 1, 499: 499, 500: 500} {
			if page := timeline(t, s, threadline.Query{Limit: limit}); len(page.Actions) != want || page.Next == "" {
				t.Errorf("limit %d: %d actions, next %q", limit, len(page.Actions), page.Next)
			}
		}
		var queryErr *threadline.QueryError
		for _, limit := range []int{-1, 501} {
			if _, err := s.Timeline(context.Background(), threadline.Query{Limit: limit}); !errors.As(err, &queryErr) || queryErr.Field != "limit" {
				t.Errorf("limit %d: %v", limit, err)
			}
		}
		last := timeline(t, s, threadline.Query{Limit: 500, To: entries[500].RecordedAt})
		if len(last.Actions) != 500 || last.Next != "" {
			t.Errorf("a last page that is just full: %d actions, next %q", len(last.Actions), last.Next)
		}
	})
}

func TestEach(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		db.SetMaxOpenConns(1)
		entries := make([]journal.Entry, 1201)
		for i := range entries {
			entries[i] = entry(i)
		}
		record(t, s, entries...)
		all := reversed(entries)
		for limit, want := range map[int]int{0: 1201, 1: 1, 500: 500, 501: 501, 1000: 1000, 5000: 1201} {
			var got []uuid.UUID
			for a, err := range s.Each(context.Background(), threadline.Query{Limit: limit}) {
				if err != nil {
					t.Fatal(err)
				}
				if got = append(got, a.ID); len(got)%400 == 1 { // the body has the only connection
					if one, err := s.Get(context.Background(), a.ID); err != nil || !reflect.DeepEqual(one, a) {
						t.Errorf("Get inside the loop: %v, %v", one, err)
					}
				}
			}
			if !slices.Equal(got, all[:want]) {
				t.Errorf("limit %d: %d actions, want the %d newest", limit, len(got), want)
			}
		}
		for _, err := range s.Each(context.Background(), threadline.Query{}) {
			if err != nil {
				t.Error(err)
			}
			break // which must leave the connection free for what follows
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		n := 0
		var last error
		for _, err := range s.Each(ctx, threadline.Query{}) {
			if n++; n == 10 {
				cancel()
			}
			last = err
		}
		if n != 501 || !errors.Is(last, context.Canceled) {
			t.Errorf("cancelled inside the first page: %d steps, then %v", n, last)
		}
	})
}

// On SQLite the first event makes the tables: before it nothing has happened.
func TestReadsBeforeTheFirstEvent(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		db.SetMaxOpenConns(1)
		s := threadline.NewStore(db, e.Dialect, nil)
		if p := timeline(t, s, threadline.Query{Action: "order.placed"}); len(p.Actions) != 0 || p.Next != "" {
			t.Errorf("page %+v", p)
		}
		for a, err := range s.Each(context.Background(), threadline.Query{}) {
			t.Errorf("Each yields %v, %v", a, err)
		}
		if _, err := s.Get(context.Background(), uuid.New()); !errors.Is(err, threadline.ErrNotFound) {
			t.Errorf("Get: %v", err)
		}
	}, dbtest.SQLite)
}

func TestReadsSayWhatIsMissing(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		s := threadline.NewStore(db, e.Dialect, nil)
		ctx := context.Background()
		if e.Dialect == hooks.SQLite { // what is there is not what it should be
			if err := s.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
			exec(t, db, "DROP TABLE threadline_audit_actions")
		}
		_, pageErr := s.Timeline(ctx, threadline.Query{})
		_, getErr := s.Get(ctx, uuid.New())
		for _, err := range []error{pageErr, getErr, s.Record(ctx, []journal.Entry{entry(1)})} {
			if !says(err, "Store.Migrate makes it") {
				t.Errorf("got %v, want what to do", err)
			}
		}
	})
}
