package forward

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/backoff"
)

// Attempts to start beside the app back off from firstPause to lastPause. A commit with
// events, or a flush that failed, brings the next one forward, to a second after the last.
const (
	firstPause  = 250 * time.Millisecond
	wokenPause  = time.Second
	lastPause   = 30 * time.Second
	attemptTime = 30 * time.Second
)

// Why a start waits, without anything being wrong.
var (
	errStandby  = errors.New("the server is a standby, where nothing can be written")
	errReadOnly = errors.New("the server lets this role write nothing")
)

func isExpected(err error) bool { return errors.Is(err, errStandby) || errors.Is(err, errReadOnly) }

// isPatient reports whether the app gets its connection although the start fails with
// err, in strict mode too.
func isPatient(err error) bool {
	var unregistered *unregisteredError
	return isExpected(err) || errors.As(err, &unregistered)
}

// enter waits until this connection may start the delivery. It reports false if ctx
// ends, or if the start is being tried beside the app: no connection waits for that.
func (d *handler) enter(ctx context.Context) bool {
	select {
	case d.setup <- struct{}{}:
		return true
	default:
	}
	if d.starter.waitsFor() != nil {
		return false
	}
	select {
	case d.setup <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// start does what is done once for a database, over one connection. It may be called
// again after an error.
func (d *handler) start(ctx context.Context, conn *sql.DB) error {
	standby, err := d.isStandby(ctx, conn)
	if err != nil {
		return err
	}
	if standby {
		return errStandby
	}
	var later error
	if !d.dialect.local() { // else the first flush does it
		if later, err = d.registerSinks(ctx, conn); err != nil {
			return err
		}
	}
	if err := d.attach(ctx, conn); err != nil {
		return err
	}
	if later != nil {
		return later
	}
	if err := d.startQueue(ctx, conn); err != nil {
		return err
	}
	d.started.Store(true)
	d.hub.keepOpen(d)
	d.logStart()
	if d.journal != nil {
		d.sayUpgraded()
	}
	d.warnDurability(ctx, conn)
	d.warnExposed(ctx, conn)
	d.starter.succeed()
	d.lookAgain(nil)
	d.keep()
	return nil
}

// failed returns the error of a connection attempt on which the start failed with err.
// If the app gets the connection all the same, it may never open another, so the start
// is tried again beside the app.
func (d *handler) failed(ctx context.Context, conn *sql.DB, err error) error {
	if err == nil {
		return nil
	}
	goesOn := isPatient(err) || d.db.Mode != nil && d.db.Mode() == hooks.BestEffort
	if goesOn && !d.started.Load() && d.canTryAgain() {
		if d.queue.store != nil {
			d.starter.mark(func() (relay.Mark, error) { return d.queue.store.Mark(ctx, conn) })
		}
		d.tryAgain(err)
	}
	if isPatient(err) {
		return nil
	}
	return err
}

// canTryAgain reports whether it is possible and of use to start beside the app. On
// SQLite only the Queue's workers depend on the start, and they open separate
// connections anyway.
func (d *handler) canTryAgain() bool {
	return d.db.Connector != nil && (d.dialect.beside() || len(d.queue.given) > 0)
}

// tryAgain tries beside the app until the start succeeds, or the database is closed.
func (d *handler) tryAgain(cause error) {
	if !d.hub.admit(d) {
		return
	}
	ctx, done := d.starter.launch(cause)
	if ctx == nil {
		return
	}
	d.sayWaits(cause)
	go func() {
		defer done()
		for n := 1; d.starter.rest(ctx, backoff.After(n, firstPause, lastPause)) && !d.started.Load(); n++ {
			err := d.attempt(ctx)
			if err != nil && d.starter.waitFor(err) {
				d.sayWaits(err)
			}
		}
	}()
}

// attempt tries to start over a connection that is opened for it.
func (d *handler) attempt(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("forward: panic at the start: %v", v)
		}
	}()
	db := sql.OpenDB(d.beside())
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil { // before setup is held, for which the app's connections wait
		return err
	}
	if d.journal != nil {
		if err := d.journal.Connect(ctx, db); err != nil {
			return err
		}
	}
	select {
	case d.setup <- struct{}{}:
		defer func() { <-d.setup }()
	default:
		return nil // a connection of the app's is trying
	}
	if d.started.Load() {
		return nil
	}
	return d.start(ctx, db)
}

// sayWaits logs what the start waits for.
func (d *handler) sayWaits(err error) {
	write := d.log().Warn
	if isExpected(err) {
		write = d.log().Info
	}
	write("aftercommit: delivery waits: it cannot be started yet and is tried again; what is written to the journal meanwhile stays there, "+
		"and what cannot be written is reported as lost in best effort, or fails its transaction",
		zap.String("driver", d.db.Driver), zap.Error(err))
}
