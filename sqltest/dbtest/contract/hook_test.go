package contract_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestHookPanics: in Flush, before it has written or after.
func TestHookPanics(t *testing.T) {
	for name, set := range map[string]func(*between, func()){
		"before it has written": func(b *between, f func()) { b.before = f },
		"after":                 func(b *between, f func()) { b.after = f },
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
				t.Run(mode.String(), func(t *testing.T) {
					forEach(t, func(t *testing.T, e dbtest.Engine) {
						armed := false
						w := newWorld(t, e, setup{driver: []driver.Option{driver.WithMode(mode)}, hook: func(h hooks.Hook) hooks.Hook {
							b := &between{Hook: h}
							set(b, func() {
								if armed {
									armed = false
									panic("the hook's")
								}
							})
							return b
						}})
						w.db.SetMaxOpenConns(1)
						tx := w.begin()
						w.insert(tx, 1)
						w.record(tx, "a")
						armed = true
						err := tx.Commit()
						w.goesOn()
						// The COMMIT has gone with the write, and has been answered.
						committed := e.Name == dbtest.PGXDriver.Name && name == "after"
						switch {
						case mode == hooks.Strict && committed:
							w.must(err)
							w.want("1 2", "a b", "a b")
						case mode == hooks.Strict:
							if err == nil {
								w.Error("Commit says nil")
							}
							w.want("2", "b", "b")
						default:
							w.must(err)
							w.want("1 2", "b", "b")
							w.wantNotice(hooks.NoticeLost)
						}
					})
				})
			}
		})
	}
}
