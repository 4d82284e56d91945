package changes_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

const copying = "threadline.Forwarder/default"

// eventually waits until a query returns a text.
func (w *world) eventually(want, query string) {
	w.Helper()
	for deadline := time.Now().Add(dbtest.Patience); ; time.Sleep(5 * time.Millisecond) {
		got := w.text(query)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s is %s, want %s", query, got, want)
		}
	}
}

const asGaps = "SELECT count(*) FROM threadline.audit_gaps WHERE op LIKE '% not delivered'"

// settle waits until all is delivered, or discarded.
func (c *copied) settle() {
	c.Helper()
	until, cancel := context.WithTimeout(ctx, dbtest.Patience)
	defer cancel()
	c.must(c.hub.Drain(until))
}

const (
	noGaps   = "ALTER TABLE threadline.audit_gaps ADD CONSTRAINT none CHECK (op NOT LIKE '% not delivered')"
	someGaps = "ALTER TABLE threadline.audit_gaps DROP CONSTRAINT none"
)

// untold waits until it is said that the gap could not be written, and returns how often it was.
func (c *copied) untold() (n int) {
	c.Helper()
	for deadline := time.Now().Add(dbtest.Patience); n == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatal("it does not say that it cannot write the gap")
		}
		n = c.logs.FilterMessageSnippet("which row changes it lacks").Len()
	}
	c.there.wantGaps("", "t")
	return n
}

// end ends the process.
func (c *copied) end() {
	c.Helper()
	c.must(c.db.Close())
	c.must(c.hub.Close(ctx))
}

// refuse makes the other database refuse changes, and events, that say bad.
func (c *copied) refuse() {
	c.Helper()
	c.there.exec("ALTER TABLE threadline.audit_changes ADD CONSTRAINT bad CHECK (coalesce(new_row, '') NOT LIKE '%bad%')",
		"ALTER TABLE threadline.audit_actions ADD CONSTRAINT bad CHECK (actor_id IS DISTINCT FROM 'mallory')")
}

func (c *copied) accept() {
	c.Helper()
	c.there.exec("ALTER TABLE threadline.audit_changes DROP CONSTRAINT bad", "ALTER TABLE threadline.audit_actions DROP CONSTRAINT bad")
}

// replay gives the forwarder entries again, and waits until it has got them.
func (c *copied) replay(sel relay.Selection) {
	c.Helper()
	store, err := relay.New(hooks.Postgres, &relay.Options{Changes: map[string]relay.Changes{copying: changes.NewSource(nil)}})
	c.must(err)
	sel.Forwarder = copying
	n, err := store.Replay(ctx, c.world.db, sel, false)
	c.must(err)
	if n == 0 {
		c.Errorf("%+v replays nothing", sel)
	}
	c.eventually("0", "SELECT count(*) FROM aftercommit.retries")
}

// gaps are those of table t there, without times, and what its transactions have lost.
func (w *world) gaps(table string) string {
	w.Helper()
	var lines []string
	for _, b := range w.undelivered(table) {
		lines = append(lines, b.Text)
	}
	return strings.Join(lines, "\n")
}

func (w *world) wantGaps(want, table string) {
	w.Helper()
	if got := w.gaps(table); got != strings.TrimSpace(want) {
		w.Errorf("the gaps of %s are\n%s\nwant\n%s", table, got, want)
	}
}

// firstOf is the transaction that has the first change of a row.
func (w *world) firstOf(key string) journal.TxKey {
	w.Helper()
	history, err := w.store.History(ctx, "t", key)
	w.must(err)
	return journal.TxKey{ID: history[0].XID, StartedAt: history[0].TxStartedAt}
}

// TestCopiedGaps: what the other database could not take, of row changes that later ones have overtaken, is a gap there, which all that is
// asked there shows: of a whole transaction, of a part of one, and of one of which it has no event either. A replay closes it, however
// often it is asked for.
func TestCopiedGaps(t *testing.T) {
	with(t, func(w *world) {
		t := w.T
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)", "CREATE TABLE u (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"})
		c := w.copyTo(w.e.DSN(t), func(*forward.Hub) {})
		w.exec("INSERT INTO t VALUES (0, 'before'), (2, 'before')", "INSERT INTO u VALUES (1)")
		c.drain()
		c.refuse()
		w.exec("INSERT INTO t VALUES (1, 'bad')")
		c.tx([]string{"alice"}, "UPDATE t SET a = 'good' WHERE id = 0", "UPDATE t SET a = 'bad' WHERE id = 2")
		c.tx([]string{"mallory"}, "INSERT INTO t VALUES (3, 'bad'), (4, 'bad')")
		c.there.eventually("4", asGaps)
		at := w.now()
		w.exec("UPDATE t SET a = 'later'", "INSERT INTO t VALUES (5, 'later')")
		after := w.now()
		c.settle()

		const all = "changes that could not be copied here: 1: INSERT: invalid_entry\nchanges that could not be copied here: 1: UPDATE: invalid_entry\nchanges that could not be copied here: 2: INSERT: invalid_entry"
		c.there.wantGaps(all, "t")
		c.there.wantGaps("", "u")
		w.wantGaps("", "t")
		for _, key := range []string{"0", "2"} { // also of a row whose changes have all come, since a gap names none
			row, err := c.there.store.RowAsOf(ctx, "t", at, key)
			var broken *changes.AsOfError
			if !errors.As(err, &broken) || broken.Break == nil || broken.Break.Kind != changes.Undelivered {
				t.Errorf("after the gap row %s is %v, %v", key, row, err)
			}
		}
		if row, err := c.there.store.RowAsOf(ctx, "t", after, "5"); err != nil || row.Values[1].String() != "later" {
			t.Errorf("after the gap a new row is %v, %v", row, err)
		}
		for key, want := range map[string]string{"1": "lost: insert t", "2": "lost: update t", "3": "lost: 2 times insert t"} {
			history, err := w.store.History(ctx, "t", key)
			w.must(err)
			tx := history[len(history)-2]
			story, err := c.timeline.Story(ctx, c.there.store, journal.TxKey{ID: tx.XID, StartedAt: tx.TxStartedAt})
			if want += ": it could not be copied here: invalid_entry"; err != nil || !strings.Contains(story.String(), want) {
				t.Errorf("the story is %v %v\nwant %s", story, err, want)
			}
		}

		c.accept()
		c.replay(relay.Selection{Discarded: true})
		c.there.wantGaps("", "t")
		c.replay(relay.Selection{From: time.Unix(1, 0)})
		c.there.wantGaps("", "t")
		c.same("audit_changes")
		c.there.wantStory("insert id: NULL → 1; a: NULL → bad;\nupdate a: bad → later;", "t", "1")
		story, err := c.timeline.Story(ctx, c.there.store, c.there.firstOf("3"))
		if err != nil || strings.Contains(story.String(), "lost") {
			t.Errorf("the story is %v, %v", story, err)
		}
	}, dbtest.PostgresEngines()[0])
}

// TestCopiedGapsWithoutCall: a change of which the forwarder never says that it has failed leaves a gap, too, as soon as another one has
// overtaken it: until it comes, or for good.
func TestCopiedGapsWithoutCall(t *testing.T) {
	for attempts, state := range map[int]string{1: "discarded", 25: "retrying"} {
		t.Run(state, func(t *testing.T) {
			with(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)")
				w.capture(capture.Table{Name: "t"})
				var mended atomic.Bool
				c := w.copyTo(w.e.DSN(w.T), func(*forward.Hub) {}, forward.MaxAttempts(attempts), forward.Filter(func(e journal.Entry) bool {
					if !mended.Load() && e.Change != nil && strings.Contains(string(e.Change), "bad") {
						panic("a filter that cannot read it")
					}
					return true
				}))
				c.there.exec(noGaps)
				w.exec("INSERT INTO t VALUES (1, 'good')", "INSERT INTO t VALUES (2, 'bad')", "INSERT INTO t VALUES (3, 'good')")
				c.untold()
				c.there.exec(someGaps)
				c.there.eventually("1", asGaps)
				w.eventually("1", "SELECT count(*) FROM aftercommit.retries WHERE state = '"+state+"'")
				c.there.wantGaps("changes that could not be copied here: 1: INSERT: panic", "t")
				mended.Store(true)
				c.replay(relay.Selection{Discarded: state == "discarded", From: time.Unix(1, 0)})
				c.there.wantGaps("", "t")
				c.same("audit_changes")
			}, dbtest.PostgresEngines()[0])
		})
	}
}

// TestCopiedGapsLater: where the gap cannot be written, it is as soon as it can be, by another process if need be; also if the change is
// gone meanwhile from the app's database, and whoever was to get it is retired after that.
func TestCopiedGapsLater(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)", "CREATE TABLE u (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"})
		c := w.copyTo(w.e.DSN(w.T), func(*forward.Hub) {})
		c.drain()
		c.end()
		w.exec("INSERT INTO t VALUES (1, 'good')", "INSERT INTO u VALUES (1)", "INSERT INTO t VALUES (2, 'bad')", "INSERT INTO t SELECT n, 'bad' FROM generate_series(1001, 2100) n", "INSERT INTO u VALUES (2)",
			"UPDATE threadline.audit_changes SET new_row = '(' WHERE new_row LIKE '%bad%'")
		c.there.exec(noGaps)
		c = w.copyTo(c.there.dsn, func(*forward.Hub) {})
		c.there.eventually("3", "SELECT count(*) FROM threadline.audit_changes")
		w.eventually("1101", "SELECT count(*) FROM aftercommit.retries WHERE state = 'discarded'")
		c.untold()
		c.end()
		if n := c.untold(); n != 1 {
			w.Errorf("it was said %d times that the gap could not be written", n)
		}
		var made time.Time
		w.must(w.db.QueryRowContext(ctx, "DELETE FROM threadline.audit_changes WHERE key = '(2)' AND new_row = '(' RETURNING captured_at").Scan(&made))
		c.there.exec(someGaps)

		c = w.copyTo(c.there.dsn, func(*forward.Hub) {})
		c.there.eventually("1102", asGaps)
		const gone = "changes that could not be copied here: 1: change: unreadable"
		for table, want := range map[string]string{"t": "changes that could not be copied here: 1100: INSERT: unreadable\n" + gone, "u": gone} {
			c.there.wantGaps(want, table)
		}
		if b := c.there.undelivered("u")[0]; b.From.After(made) || b.To.Before(made) {
			w.Errorf("it was made at %v, and the gap is %v", made, b)
		}
		c.end()
		store, err := relay.New(hooks.Postgres, nil)
		w.must(err)
		w.must(store.Retire(ctx, w.db, copying))
		c.there.wantGaps(gone, "u")
	}, dbtest.PostgresEngines()[0])
}

// TestCopiedGapsOfReplay: a change that was to be replayed, and is gone before it could be, is a gap, too.
func TestCopiedGapsOfReplay(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 'early')", "INSERT INTO t VALUES (2, 'early')")
		c := w.copyTo(w.e.DSN(w.T), func(*forward.Hub) {})
		c.drain()
		c.end()
		store, err := relay.New(hooks.Postgres, &relay.Options{Changes: map[string]relay.Changes{copying: changes.NewSource(nil)}})
		w.must(err)
		n, err := store.Replay(ctx, w.db, relay.Selection{Forwarder: copying, From: time.Unix(1, 0)}, false)
		if w.must(err); n != 2 {
			w.Errorf("%d are replayed", n)
		}
		w.exec("DELETE FROM threadline.audit_changes WHERE key = '(2)'")
		c = w.copyTo(c.there.dsn, func(*forward.Hub) {})
		c.there.eventually("2", asGaps)
		c.there.wantGaps("changes that could not be copied here: 1: change: journal_gone", "t")
		c.there.wantStory("insert id: NULL → 1; a: NULL → early;", "t", "1")
	}, dbtest.PostgresEngines()[0])
}

func (w *world) undelivered(table string) (list []changes.Break) {
	w.Helper()
	breaks, err := w.store.Breaks(ctx, table)
	w.must(err)
	for _, b := range breaks {
		if b.Kind == changes.Undelivered {
			list = append(list, b)
		}
	}
	return list
}
