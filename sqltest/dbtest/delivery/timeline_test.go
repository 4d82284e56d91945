package delivery_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestTimelineThatIsGone: the relay's failure says what is wrong with the tables.
func TestTimelineThatIsGone(t *testing.T) {
	each(t, func(w *world) {
		a := w.start(forward.Options{}, func(h *forward.Hub) { h.Register(threadline.NewForwarder(nil), forward.Auto) })
		a.place(1)
		a.drain()
		w.must(w.bare.ExecContext(ctx, "DROP SCHEMA threadline CASCADE"))
		a.place(2)
		w.until("it fails", func() bool { return w.sink.reasonOf(hooks.NoticeFailed) != "" })
		if r := w.sink.reasonOf(hooks.NoticeFailed); r != "schema_mismatch" {
			t.Errorf("it failed with the reason %q", r)
		}
	})
}
