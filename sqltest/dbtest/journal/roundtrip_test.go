package journal_test

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestEveryFieldComesBack(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		if e.Dialect == hooks.Postgres {
			// The app's connection reads them back, with the app's settings.
			r.exec("SET datestyle = 'German'")
			r.exec("SET timezone = 'Asia/Kathmandu'")
		}
		full, bare := fullEvent(t), event("order.looked_at")
		before := time.Now().UTC().Truncate(time.Microsecond)
		r.exec("BEGIN")
		key := newKey()
		r.writeAs(r.j, key, 7, full, bare)
		r.exec("COMMIT")
		for name, read := range map[string]func() ([]journal.Entry, error){
			"ByKey": func() ([]journal.Entry, error) {
				rows, err := r.j.ByKey(ctx, r.conn, []uuid.UUID{key})
				return rows[0].Entries(), err
			},
			"Written": func() ([]journal.Entry, error) {
				rows, err := r.j.Written(ctx, r.conn, []uuid.UUID{newKey(), key})
				return rows[0].EntriesOf([]hooks.Event{full, bare}, 0), err
			},
			"List": func() ([]journal.Entry, error) { return r.j.List(ctx, r.conn, journal.Query{}) },
		} {
			got, err := read()
			if err != nil || len(got) != 2 {
				t.Fatalf("%s = %d entries, %v; want 2", name, len(got), err)
			}
			if !reflect.DeepEqual(got[0].Event, full) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", name, got[0].Event, full)
			}
			if !reflect.DeepEqual(got[1].Event, bare) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", name, got[1].Event, bare)
			}
			for _, entry := range got {
				for what, at := range map[string]time.Time{"RecordedAt": entry.RecordedAt, "Tx.StartedAt": entry.Tx.StartedAt} {
					if at.Location() != time.UTC || at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
						t.Errorf("%s: %s = %v, want now in UTC", name, what, at)
					}
				}
				if entry.Tx.ID == 0 || entry.Tx != got[0].Tx {
					t.Errorf("%s: transaction %+v, want that of the first entry %+v", name, entry.Tx, got[0].Tx)
				}
			}
		}
	})
}

func TestTimesAtTheEdges(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		for _, at := range []time.Time{
			time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
			time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
		} {
			ev := event("clock.read")
			ev.OccurredAt = at
			r.exec("BEGIN")
			r.write(r.j, 1, ev)
			r.exec("COMMIT")
			got, err := r.of(r.session, ev)
			if err != nil || len(got) != 1 || !got[0].OccurredAt.Equal(at) {
				t.Errorf("%v came back as %v, %v", at, got, err)
			}
		}
	})
}

// Numbers are kept as they were written, beyond what a float64 holds.
func TestNumbersInMetadata(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		ev := event("price.set")
		ev.Metadata = map[string]any{"big": json.Number("123456789012345678901234567890.5"), "cents": 1999}
		r.exec("BEGIN")
		r.write(r.j, 1, ev)
		r.exec("COMMIT")
		want := map[string]any{"big": json.Number("123456789012345678901234567890.5"), "cents": json.Number("1999")}
		if got := r.entries()[0].Metadata; !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestOrderIsThatOfRecording(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		list := events(1000)
		r.exec("BEGIN")
		r.write(r.j, 1, list[:400]...)
		r.write(r.j, 1, list[400:]...)
		r.exec("COMMIT")
		got := r.entries()
		if len(got) != len(list) {
			t.Fatalf("got %d entries, want %d", len(got), len(list))
		}
		for i := range got {
			if got[i].ID != list[i].ID {
				t.Fatalf("position %d has %s, want %s", i, got[i].Action, list[i].Action)
			}
			if i > 0 && got[i].Compare(got[i-1].Position) <= 0 {
				t.Fatalf("position %d is %s after %s", i, got[i].Text(), got[i-1].Text())
			}
			if got[i].Tx != got[0].Tx {
				t.Fatalf("position %d: the second flush of a transaction has the key %+v, the first %+v", i, got[i].Tx, got[0].Tx)
			}
		}
	})
}

func TestRollbackLeavesNothing(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		r.exec("BEGIN")
		r.write(r.j, 1, event("order.placed"))
		r.exec("ROLLBACK")
		if got := r.entries(); len(got) != 0 {
			t.Errorf("the journal has %s after a rollback", actions(got))
		}
	})
}

// TestSameEventTwice: an event that is written in two transactions, or twice in one, is two
// entries with one ID.
func TestSameEventTwice(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		ev, other := fullEvent(t), event("order.placed")
		for range 2 {
			r.exec("BEGIN")
			r.write(r.j, 1, ev, other, other)
			r.exec("COMMIT")
		}
		if got := actions(r.entries()); got != "order.refunded order.placed order.placed order.refunded order.placed order.placed" {
			t.Errorf("the journal has %q", got)
		}
	})
}

// TestSameKeyTwice: a key is of one flush. A second one with it writes nothing, whatever its
// events are, and fails.
func TestSameKeyTwice(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		key := newKey()
		r.exec("BEGIN")
		r.writeAs(r.j, key, 1, event("order.placed"))
		r.exec("COMMIT")
		r.exec("BEGIN")
		_, err := r.j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(r.conn), Events: events(1), Key: key, Tx: 2, Must: true, Timeout: dbtest.Patience})
		r.exec("ROLLBACK")
		if e.Dialect == hooks.Postgres && hooks.SQLState(err) != "23505" || err == nil {
			t.Errorf("err = %v, want a unique violation", err)
		}
		if got := actions(r.entries()); got != "order.placed" {
			t.Errorf("the journal has %q", got)
		}
	})
}

func TestKeyIsTheTransactionsOwn(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		r.exec("BEGIN")
		r.exec("INSERT INTO orders VALUES (1)")
		r.exec("SAVEPOINT s")
		r.write(r.j, 1, event("order.placed"))
		xid := r.text("SELECT pg_current_xact_id()::text")
		started := r.text("SELECT (transaction_timestamp() AT TIME ZONE 'UTC')::text")
		r.exec("COMMIT")
		got := r.entries()[0]
		if id := strconv.FormatInt(got.Tx.ID, 10); id != xid {
			t.Errorf("xid = %s; want %s, that of the app's transaction", id, xid)
		}
		if at := got.Tx.StartedAt.Format("2006-01-02 15:04:05.999999"); !strings.HasPrefix(started, at) {
			t.Errorf("started at %s, want %s", at, started)
		}
		if got.Role != "postgres" {
			t.Errorf("role = %q", got.Role)
		}
	}, dbtest.PostgresEngines()...)
}
