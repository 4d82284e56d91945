package changes_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// long reports whether the tests are to run at length.
func long() bool { return os.Getenv("AFTERCOMMIT_LONG") == "1" }

// TestLargeStatement: a statement that changes very many rows takes no more of the server's memory than with a trigger that
// keeps next to nothing, and reading what it has changed takes none that grows with it.
func TestLargeStatement(t *testing.T) {
	with(t, func(w *world) {
		n := 100_000
		if long() {
			n = 1_000_000
		}
		w.measureMemory()
		w.exec("CREATE FUNCTION count_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
		for _, table := range []string{"counted", "kept"} {
			w.exec("CREATE TABLE "+table+" (id int PRIMARY KEY, a int, note text)",
				fmt.Sprintf("INSERT INTO %s SELECT n, 0, 'as soon as possible' FROM generate_series(1, %d) n", table, n),
				"CREATE TRIGGER zz_memory AFTER UPDATE ON "+table+" FOR EACH STATEMENT EXECUTE FUNCTION memory()")
		}
		w.exec("CREATE TRIGGER count_row AFTER UPDATE ON counted FOR EACH ROW EXECUTE FUNCTION count_row()")
		w.capture(capture.Table{Name: "kept"})
		w.inNewSession("UPDATE counted SET a = 1")
		w.inNewSession("UPDATE kept SET a = 1 WHERE id <= 1000")
		w.inNewSession("UPDATE kept SET a = 2")
		if got, most := w.memory("kept"), w.memory("counted")+4<<20; got > most {
			w.Errorf("the session has %d bytes at the end of the statement, want at most %d", got, most)
		}
		if got := w.changes(); got != strconv.Itoa(n+1000) {
			w.Errorf("%s changes are kept", got)
		}
		// The server has no statistics of the table.
		large := w.transactionOf(n)
		for name, call := range map[string]func(*changes.Store) error{
			"Page": func(s *changes.Store) error {
				_, err := s.Page(ctx, changes.Query{XID: large.ID, TxStartedAt: large.StartedAt, Limit: 100})
				return err
			},
			"Transaction": func(s *changes.Store) error {
				_, err := s.Transaction(ctx, large.ID, large.StartedAt, 100)
				return err
			},
			"RowAsOf": func(s *changes.Store) error {
				_, err := s.RowAsOf(ctx, "kept", large.StartedAt, "7")
				return err
			},
		} {
			if scanned, fetched := w.readsIn(call); scanned > 0 || fetched > 300 {
				w.Errorf("%s reads %d changes one after the other and %d by indexes, of %d", name, scanned, fetched, n)
			}
		}
		// It is in the middle, where neither the transaction's first change nor its last is near.
		half, err := w.store.History(ctx, "kept", strconv.Itoa(n/2))
		w.must(err)
		change := half[len(half)-1]
		w.exec(fmt.Sprintf("UPDATE kept SET a = 3 WHERE id = %d", n/2)) // a later change, which is looked for
		for name, call := range map[string]func(*changes.Store) error{
			"UndoChange": func(s *changes.Store) error {
				u, err := undo.Change(ctx, s, change)
				return errors.Join(err, wrong(err == nil && len(u.Conflicts) != 1, "no conflict"))
			},
			"UndoRowTo": func(s *changes.Store) error { _, err := undo.RowAfter(ctx, s, change); return err },
			"UndoRow": func(s *changes.Store) error {
				_, err := undo.RowAsOf(ctx, s, "kept", change.CapturedAt.Add(-time.Microsecond), change.Key...)
				return err
			},
			"History": func(s *changes.Store) error { _, err := s.History(ctx, "kept", change.Key...); return err },
			"Page of a row": func(s *changes.Store) error {
				_, err := s.Page(ctx, changes.Query{Tables: []string{"kept"}, Key: change.Key})
				return err
			},
			"RowAfter": func(s *changes.Store) error { _, err := s.RowAfter(ctx, change); return err },
		} {
			if blocks := w.blocksIn(call); blocks > 150 {
				w.Errorf("%s reads %d blocks of indexes, of a transaction with %d changes", name, blocks, n)
			}
		}
		for _, e := range dbtest.PostgresEngines() {
			w.Run(e.Name, func(t *testing.T) {
				is := &world{T: t, db: dbtest.Open(t, e.Driver, w.dsn), dsn: w.dsn}
				is.store = changes.NewStore(is.db, hooks.Postgres, nil)
				is.readLarge(n)
			})
		}
	}, dbtest.PGX)
}

// measureMemory makes a trigger function that takes down how much memory the session has.
func (w *world) measureMemory() {
	w.Helper()
	if w.text("SELECT pg_catalog.to_regclass('pg_catalog.pg_backend_memory_contexts')") == "" {
		w.Skip("pg_backend_memory_contexts came with PostgreSQL 14")
	}
	w.exec("CREATE TABLE memory (tab text, bytes bigint)",
		`CREATE FUNCTION memory() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO memory SELECT TG_TABLE_NAME, sum(total_bytes) FROM pg_backend_memory_contexts;
			RETURN NULL;
		END $$`)
}

// memory is the most that was taken down of a table.
func (w *world) memory(table string) int {
	w.Helper()
	n, err := strconv.Atoi(w.text("SELECT max(bytes) FROM memory WHERE tab = '" + table + "'"))
	w.must(err)
	w.Logf("%s: %.1f MiB", table, float64(n)/(1<<20))
	return n
}

// inNewSession executes a statement in a session in which nothing has taken memory yet.
func (w *world) inNewSession(query string) {
	w.Helper()
	db := dbtest.Open(w, dbtest.PGX.Driver, w.dsn)
	if _, err := db.ExecContext(ctx, query); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
	w.must(db.Close())
}

// readLarge reads the transaction of n changes, and that of 1,000 before it.
func (w *world) readLarge(n int) {
	w.Helper()
	large, small := w.transactionOf(n), w.transactionOf(1000)
	timeline := threadline.NewStore(w.db, hooks.Postgres, nil)
	w.must(timeline.Migrate(ctx))
	for name, read := range map[string]func(journal.TxKey) error{
		"Page": func(tx journal.TxKey) error {
			page, err := w.store.Page(ctx, changes.Query{XID: tx.ID, TxStartedAt: tx.StartedAt, Limit: 100})
			return errors.Join(err, wrong(len(page.Changes) != 100 || page.Next == "", "%d changes, and then %q", len(page.Changes), page.Next))
		},
		"Transaction": func(tx journal.TxKey) error {
			is, err := w.store.Transaction(ctx, tx.ID, tx.StartedAt, 100)
			return errors.Join(err, wrong(err == nil && (len(is.Changes) != 100 || !is.More), "not 100 changes and more"))
		},
		"History": func(journal.TxKey) error {
			list, err := w.store.History(ctx, "kept", "7")
			return errors.Join(err, wrong(len(list) != 2, "%d changes", len(list)))
		},
		"RowAsOf": func(tx journal.TxKey) error {
			_, err := w.store.RowAsOf(ctx, "kept", tx.StartedAt, "7")
			return err
		},
		"Breaks": func(journal.TxKey) error { _, err := w.store.Breaks(ctx, "kept"); return err },
	} {
		w.must(read(small)) // what the first of them finds out stays
		ofSmall := w.allocated(func() error { return read(small) })
		if got, most := w.allocated(func() error { return read(large) }), 2*ofSmall+1<<20; got > most {
			w.Errorf("%s allocates %d bytes, want at most %d, twice as much as for a small transaction", name, got, most)
		}
	}
	// These have a bound that is larger than the small transaction.
	for name, read := range map[string]func() error{
		"UndoTransaction": func() error {
			_, err := undo.Transaction(ctx, w.store, large.ID, large.StartedAt)
			return wrong(!errors.Is(err, undo.ErrTooMany), "%v", err)
		},
		"Story": func() error {
			story, err := timeline.Story(ctx, w.store, large)
			return errors.Join(err, wrong(err == nil && !story.More, "there is no more"))
		},
	} {
		const most = 20_000 * threadline.MaxTold
		if got := w.allocated(read); got > most {
			w.Errorf("%s allocates %d bytes, want at most %d", name, got, most)
		}
	}
	first := heap()
	made := 0
	most := 20_000
	if long() {
		most = n
	}
	for _, err := range w.store.Each(ctx, changes.Query{XID: large.ID, TxStartedAt: large.StartedAt, Limit: most}) {
		w.must(err)
		if made++; made%10_000 == 0 {
			w.wantHeap("Each", first)
		}
	}
	rows := 0
	for _, err := range w.store.TableAsOf(ctx, "kept", large.StartedAt) {
		w.must(err)
		if rows++; rows == 200 {
			w.wantHeap("TableAsOf", first)
			break
		}
	}
	if made != most || rows != 200 {
		w.Errorf("%d changes, %d rows", made, rows)
	}
}

func wrong(is bool, format string, args ...any) error {
	if !is {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// transactionOf is the transaction that has made so many changes.
func (w *world) transactionOf(n int) (tx journal.TxKey) {
	w.Helper()
	var startedAt time.Time
	w.must(w.db.QueryRowContext(ctx, "SELECT xid::text::bigint, tx_started_at FROM threadline.audit_changes GROUP BY 1, 2 HAVING count(*) = "+strconv.Itoa(n)).Scan(&tx.ID, &startedAt))
	tx.StartedAt = startedAt
	return tx
}

// allocated is how many bytes a call allocates, which is more than it ever has at once.
func (w *world) allocated(call func() error) int {
	w.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := call()
	runtime.ReadMemStats(&after)
	w.must(err)
	return int(after.TotalAlloc - before.TotalAlloc)
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func (w *world) wantHeap(what string, first int) {
	w.Helper()
	if got := heap() - first; got > 16<<20 {
		w.Errorf("%s has %d bytes in use", what, got)
	}
}

// TestLongValues: a transaction of few changes with long values is read in part, and refused to be undone.
func TestLongValues(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)")
		w.capture(capture.Table{Name: "t"})
		const each = 64_000
		n := changes.MaxTransactionBytes/each + 10
		w.exec(fmt.Sprintf("INSERT INTO t SELECT n, repeat('x', %d) FROM generate_series(1, %d) n", each, n))
		tx := w.transactionOf(n)
		is, err := w.store.Transaction(ctx, tx.ID, tx.StartedAt, n)
		w.must(err)
		if got := len(is.Changes) * each; !is.More || got < changes.MaxTransactionBytes-each || got > changes.MaxTransactionBytes+each {
			w.Errorf("%d changes, and more: %v", len(is.Changes), is.More)
		}
		if _, err = undo.Transaction(ctx, w.store, tx.ID, tx.StartedAt); !errors.Is(err, undo.ErrTooMany) {
			w.Errorf("%v", err)
		}
	}, dbtest.PQ)
}

// blocksIn is how many blocks of the indexes of changes a call reads.
func (w *world) blocksIn(call func(*changes.Store) error) int {
	w.Helper()
	n := w.countIn("idx_blks_read, idx_blks_hit", "pg_statio_user_tables", call)
	return n[0] + n[1]
}
