package driver

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// plainDefaults are PostgreSQL's own, as SHOW has them: a standby refuses a SELECT
// where the default is serializable. DEFERRABLE has a meaning only there.
var plainDefaults = [][2]string{
	{"SHOW default_transaction_isolation", "read committed"},
	{"SHOW default_transaction_read_only", "off"},
}

// defaults are how a session begins its transactions.
type defaults struct {
	own    *querier
	learnt *learntDefaults
	set    bool // the app has set them
}

// learntDefaults is what a database's first session has answered.
type learntDefaults struct {
	once   sync.Once
	depart atomic.Bool // from PostgreSQL's own
}

// depart reports whether the session's transactions may begin otherwise. It is
// asked once per database; SET of the session's defaults is seen.
func (d *defaults) depart(ctx context.Context) bool {
	if !d.own.is.defaults {
		return false
	}
	d.learnt.once.Do(func() { d.learnt.depart.Store(d.ask(ctx)) })
	return d.set || d.learnt.depart.Load()
}

// ask asks for those of this session.
func (d *defaults) ask(ctx context.Context) (others bool) {
	for _, p := range plainDefaults {
		_ = d.own.read(ctx, p[0], nil, func(row []string) { others = others || row[0] != p[1] }) // what fails will fail again
	}
	return others
}

// note is called with statements that the app has sent.
func (d *defaults) note(stmts []lex.Statement) {
	for i := range stmts {
		d.set = d.set || stmts[i].Defaults
	}
}
