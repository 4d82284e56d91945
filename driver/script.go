package driver

import (
	"context"
	"errors"
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// script runs a string of several statements on SQLite, which executes and
// commits one after the other and stops at the first that fails: so does this,
// and each captured one has its event, in its own transaction where the app has
// none open. ok is false for what cannot be cut.
func (c *conn) script(ctx context.Context, j *job) (a answer, ok bool, err error) {
	if !c.is.cuts || len(j.stmts) < 2 || j.whole == "" || c.mode() == hooks.Off || !c.capturer.wants(j) {
		return answer{}, false, nil
	}
	parts := lex.Split(c.db.lexed, j.whole)
	stmts := slices.Clone(j.stmts)
	if len(parts) != len(stmts) {
		return answer{}, false, nil
	}
	for i, part := range parts {
		one, err := c.dispatch(ctx, &job{stmts: stmts[i : i+1], text: part, on: &c.opt})
		if err != nil {
			return answer{}, true, err
		}
		// SQLite's counters are those of the last write, also after other statements.
		if a.res == nil || stmts[i].Kind == lex.Write {
			a = one
		}
	}
	return a, true, nil
}

// rehearse writes, in strict mode, the events of statements that have yet to run,
// and rolls them back. It is for statements that cannot share a transaction with their
// events: an error refuses them before they run; afterwards it would be too late.
func (c *conn) rehearse(ctx context.Context, j *job) error {
	r := c.newRecord()
	if r.Mode != hooks.Strict {
		return nil
	}
	c.capturer.capture(ctx, r, j, nil)
	events := r.Pending()
	if len(events) == 0 {
		return nil
	}
	if err := c.db.refuseUnattributed(r.Mode, events); err != nil {
		return err
	}
	if !c.is.journaled {
		return nil
	}
	if err := c.execOutlasting(ctx, c.db.dialect.begin(nil), 0); err != nil {
		return err
	}
	state, err := c.flush(ctx, r, events, flushing{must: true, own: true, alone: true, rehearsal: true})
	if back := c.rollback(ctx); back != nil {
		c.discard()
		if err == nil {
			err = back
		}
	}
	if err == nil && state != flushProven {
		err = errRehearsal
	}
	return err
}

var errRehearsal = errors.New("driver: the statement was not executed: it cannot share a transaction with its audit events, and a trial showed that they could not be written after it (strict mode)")
