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
		w.must(w.bare.ExecContext(ctx, `CREATE TRIGGER spoil AFTER INSERT ON aftercommit_journal WHEN NEW.document ->> '$[0].target.id' = '2'
			BEGIN UPDATE aftercommit_journal SET document = json_set(document, '$[0].metadata', 1) WHERE seq = NEW.seq; END`))
		return
	}
	w.must(w.bare.ExecContext(ctx, `CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.document := jsonb_set(NEW.document::jsonb, '{0,metadata}', '[1]'); RETURN NEW; END $$`))
	w.must(w.bare.ExecContext(ctx, `CREATE TRIGGER spoil BEFORE INSERT ON aftercommit.journal FOR EACH ROW WHEN (NEW.document::json #>> '{0,target,id}' = '2') EXECUTE FUNCTION spoil()`))
}

// TestUnreadableWithinCommit: within Commit a sink gets the events as they were recorded, whatever
// their rows have become.
func TestUnreadableWithinCommit(t *testing.T) {
	each(t, func(w *world) {
		a := w.start(forward.Options{Relay: forward.RelayOff}, func(h *forward.Hub) { h.Register(w.sink, forward.Sync) })
		a.place(1)
		w.spoil()
		a.place(2, 3)
		w.want("1 2 3")
	}, dbtest.PQ, dbtest.PGX, dbtest.SQLite)
}
