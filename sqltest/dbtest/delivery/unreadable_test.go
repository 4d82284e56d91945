package delivery_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// spoil makes the entry of the order 2 unreadable as it is written: a trigger of the
// table's owner can.
func (w *world) spoil() {
	w.Helper()
	if w.e.Dialect == hooks.SQLite {
		w.must(w.bare.ExecContext(ctx, `CREATE TRIGGER spoil AFTER INSERT ON aftercommit_events WHEN NEW.target_id = '2'
			BEGIN UPDATE aftercommit_events SET metadata = '[1]' WHERE seq = NEW.seq; END`))
		return
	}
	w.must(w.bare.ExecContext(ctx, `CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.metadata := '[1]'; RETURN NEW; END $$`))
	w.must(w.bare.ExecContext(ctx, `CREATE TRIGGER spoil BEFORE INSERT ON aftercommit.audit_events FOR EACH ROW WHEN (NEW.target_id = '2') EXECUTE FUNCTION spoil()`))
}

// Within Commit, too, an entry that cannot be read goes to no sink, fails no commit and
// is reported as discarded.
func TestUnreadableWithinCommit(t *testing.T) {
	each(t, func(w *world) {
		a := w.start(forward.Options{Relay: forward.RelayOff}, func(h *forward.Hub) { h.Register(w.sink, forward.Sync) })
		a.place(1)
		w.spoil()
		a.place(2, 3)
		w.want("1 3")
		for _, kind := range []hooks.NoticeKind{hooks.NoticeFailed, hooks.NoticeDiscarded} {
			if n := w.sink.told(kind, "sync"); n != 1 {
				t.Errorf("%s was told of %d events, want 1", kind, n)
			}
		}
		if reason := w.sink.reasonOf(hooks.NoticeFailed); reason != "unreadable" {
			t.Errorf("the reason is %q", reason)
		}
	}, dbtest.PQ, dbtest.PGX, dbtest.SQLite)
}
