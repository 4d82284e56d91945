package changes_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestFollowAwaitsOpenTransactions: a change that is committed late comes before those that were captured after it, for
// each role that may read them. Newest first shows what there is.
func TestFollowAwaitsOpenTransactions(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		owner, other := w.store, w.follower()

		w.exec("INSERT INTO t VALUES (1, 0)")
		late, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		defer late.Rollback()
		_, err = late.ExecContext(ctx, "INSERT INTO t VALUES (2, 0)")
		w.must(err)
		w.exec("INSERT INTO t VALUES (3, 0)")

		q := changes.Query{OldestFirst: true}
		follow := map[*changes.Store]string{}
		before := map[*changes.Store]string{}
		for _, s := range []*changes.Store{owner, other} {
			w.store = s
			page := w.page(q)
			before[s], follow[s] = keys(page.Changes), page.Follow
			if page.Next != "" || page.Follow == "" {
				w.Errorf("next %q, follow %q", page.Next, page.Follow)
			}
			if got := keys(w.page(changes.Query{}).Changes); got != "3 1" {
				w.Errorf("newest first: %q", got)
			}
		}
		if before[owner] != "1" {
			w.Errorf("while a transaction is open: %q", before[owner])
		}
		if before[other] != "" && before[other] != "1" {
			w.Errorf("while a transaction is open, for a role that does not see it: %q", before[other])
		}
		w.must(late.Commit())
		for _, s := range []*changes.Store{owner, other} {
			w.store = s
			q.Cursor = follow[s]
			page := w.page(q)
			if got := before[s] + " " + keys(page.Changes); got != "1 2 3" && got != " 1 2 3" {
				w.Errorf("first %q, then %q", before[s], keys(page.Changes))
			}
			if q.Cursor = page.Follow; len(w.page(q).Changes) != 0 {
				w.Error("what follows is there already")
			}
		}
		// What has an end is over.
		if page := w.page(changes.Query{OldestFirst: true, To: w.page(changes.Query{}).Changes[0].CapturedAt}); page.Follow != "" || keys(page.Changes) != "1 2" {
			w.Errorf("%q, follow %q: nothing can come before its end", keys(page.Changes), page.Follow)
		}
	}, dbtest.PostgresEngines()[0])
}

// TestFollowSeesWhatEndsMeanwhile: a transaction that ends while a page begins is in that page or in the next one.
func TestFollowSeesWhatEndsMeanwhile(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		writer, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		defer writer.Rollback()
		_, err = writer.ExecContext(ctx, "INSERT INTO t VALUES (1, 0)")
		w.must(err)
		blocker, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		defer blocker.Rollback()
		_, err = blocker.ExecContext(ctx, "LOCK TABLE threadline.audit_shapes") // which a page reads
		w.must(err)
		q := changes.Query{OldestFirst: true}
		pages := make(chan changes.Page, 1)
		go func() {
			page, pageErr := w.store.Page(ctx, q)
			if pageErr != nil {
				t.Error(pageErr)
			}
			pages <- page
		}()
		w.await("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'threadline.audit_shapes'::regclass)")
		w.must(writer.Commit())
		w.must(blocker.Rollback())
		page := <-pages
		q.Cursor = page.Follow
		if got := keys(page.Changes) + keys(w.page(q).Changes); got != "1" {
			w.Errorf("both pages have %q", got)
		}
	}, dbtest.PostgresEngines()[0])
}

// await waits until a query returns true.
func (w *world) await(query string) {
	w.Helper()
	for until := time.Now().Add(dbtest.Patience); w.text(query) != "true"; {
		if time.Now().After(until) {
			w.Fatalf("never true: %s", query)
		}
	}
}
