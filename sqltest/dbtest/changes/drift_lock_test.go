package changes_test

import (
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestDriftedBesideLock: the first change of a transaction to a table that has drifted does not wait while another session locks the history
// between the try to keep it as planned, which fails, and its whole row: that is then a gap, or was kept first.
func TestDriftedBesideLock(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, v text, gone int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t SELECT 1, string_agg(md5(n::text), '') FROM generate_series(1, 100000) n", "ALTER TABLE t DROP gone, ADD other int")
		for range 8 {
			locked, release := make(chan error), make(chan struct{})
			go func() {
				locked <- w.lockAfterWriter(release)
			}()
			if _, err := w.db.ExecContext(ctx, "BEGIN; SET LOCAL lock_timeout = '5s'; UPDATE t SET other = coalesce(other, 0) + 1, v = reverse(v); COMMIT"); err != nil {
				w.Errorf("the write waits: %v", err)
			}
			close(release)
			w.must(<-locked)
		}
	})
}

// lockAfterWriter locks the history when another session has locked it to write, as soon as that lets it go, until it is released.
func (w *world) lockAfterWriter(release chan struct{}) error {
	tx, err := w.db.BeginTx(ctx, &sql.TxOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for is := false; !is; {
		select {
		case <-release:
			return nil
		default:
		}
		if err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'threadline.audit_changes'::regclass AND mode = 'RowExclusiveLock')").Scan(&is); err != nil {
			return err
		}
	}
	if _, err = tx.ExecContext(ctx, "LOCK TABLE threadline.audit_changes IN ACCESS EXCLUSIVE MODE"); err != nil {
		return err
	}
	<-release
	return nil
}
