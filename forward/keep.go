package forward

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/backoff"
)

// Keeper keeps something in the app's database, such as triggers, as the program wants it. It is
// for [Hub.Keep], and safe for concurrent use.
type Keeper interface {
	// Keep makes what is missing, and nothing if all is as it should be. db is one connection beside
	// the app's, which speaks [Dialect] of ctx; it is not audited. Keep must not hold the app up: it
	// waits for no lock for longer than 100 ms at a time, and returns when ctx ends.
	//
	// done says what it has changed, and warnings what an operator should know although nothing
	// failed. An error of kind [Permanent] needs an operator, any other may go away by
	// itself. After both, Keep is called again. What was done before an error stays.
	Keep(ctx context.Context, db *sql.DB) (done, warnings []string, err error)
}

// Keep has k called in the background once the first connection to a database has been opened, again
// until it succeeds, and after each commit of this process that has changed the schema, as captured
// events tell. Errors and warnings are logged, each once, and the app goes on. It works on
// PostgreSQL, also with NoJournal. On SQLite k is called only around DDL, if it is a [hooks.Reshaper].
// In a process that calls [Hub.Relay], k uses the pool of that.
//
// Like Register it is to be called when the program starts, and panics for a nil Keeper, or
// after a database has been opened.
func (h *Hub) Keep(k Keeper) {
	if k == nil {
		panic("forward: Keep of a nil Keeper")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.opened {
		panic(fmt.Sprintf("forward: Keep of %T after a database was opened: call it in init, beside driver.Register", k))
	}
	h.keepers = append(h.keepers, k)
}

// AwaitKept has each Keeper called now, for all databases that have had a connection, and again until
// none fails, one fails for good, or ctx ends. It is for programs that must not go on before, such as
// one that has just migrated its database, and for tests. Of a database that was only opened by sql.Open,
// which makes no connection, it knows nothing: ping it first.
func (h *Hub) AwaitKept(ctx context.Context) error {
	var errs []error
	for _, d := range h.databases() {
		if !d.keeps() || d.starter.isClosed() {
			continue
		}
		if err := d.awaitKept(ctx); err != nil {
			errs = append(errs, fmt.Errorf("forward: %s: %w", d.db.Driver, err))
		}
	}
	return errors.Join(errs...)
}

func (d *handler) awaitKept(ctx context.Context) error {
	for n := 1; ; n++ {
		err := d.keepNow(ctx)
		var p *PermanentError
		if err == nil || errors.As(err, &p) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(backoff.After(n, firstPause, wokenPause)):
		}
	}
}

// quietTime is for how long an error that may go away by itself is not logged: a table may be made
// by a migration right after the first connection.
const quietTime = 5 * time.Second

var errKeeps = errors.New("the keepers watch the database")

// keeping is the state of what Keep is for.
type keeping struct {
	starter
	keepers []Keeper
	pool    *sql.DB // that of Hub.Relay, nil beside an app
	// turn is held by who calls the keepers, and guards what follows.
	turn  chan struct{}
	said  map[string]bool // warnings
	wrong string          // the error that was logged last
	since time.Time       // when the first of the last errors in a row was, zero after none
}

func (d *handler) keeps() bool {
	return len(d.keeping.keepers) > 0 && d.dialect.beside() && (d.keeping.pool != nil || d.db.Connector != nil)
}

// keep calls the keepers until the database is closed.
func (d *handler) keep() {
	if !d.keeps() || !d.hub.admit(d) {
		return
	}
	ctx, done := d.keeping.launch(errKeeps)
	if ctx == nil {
		return
	}
	go func() {
		defer done()
		pause := time.Duration(0)
		for failed := 0; d.keeping.rest(ctx, pause); {
			if d.keepNow(ctx) == nil {
				failed, pause = 0, math.MaxInt64 // until the schema has changed
				continue
			}
			failed++
			pause = backoff.After(failed, firstPause, lastPause)
		}
	}()
}

// keepNow calls the keepers once, unless another call of them does not end before ctx.
func (d *handler) keepNow(ctx context.Context) error {
	select {
	case d.keeping.turn <- struct{}{}:
		defer func() { <-d.keeping.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	db := d.keeping.pool
	if db == nil {
		db = sql.OpenDB(d.beside())
		db.SetMaxOpenConns(1)
		defer func() { _ = db.Close() }() // its errors are those of the calls before
	}
	var errs []error
	for _, k := range d.keeping.keepers {
		done, warnings, err := keepOne(d.lend(ctx, db), db, k)
		d.sayKept(done, warnings)
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if ctx.Err() == nil {
		d.sayUnkept(err)
	}
	return err
}

// keepOne is k.Keep, whose panic is an error: it is called beside the app.
func keepOne(ctx context.Context, db *sql.DB, k Keeper) (done, warnings []string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("forward: panic in %T: %v", k, v)
		}
	}()
	return k.Keep(ctx, db)
}

func (d *handler) sayKept(done, warnings []string) {
	for _, line := range done {
		d.log().Info("aftercommit: the database was changed: "+line, zap.String("driver", d.db.Driver))
	}
	for _, line := range warnings {
		if !d.keeping.said[line] {
			d.keeping.said[line] = true
			d.log().Warn("aftercommit: "+line, zap.String("driver", d.db.Driver))
		}
	}
}

// sayUnkept logs why something is not as it should be, once that does not go away.
func (d *handler) sayUnkept(err error) {
	if err == nil {
		d.keeping.wrong, d.keeping.since = "", time.Time{}
		return
	}
	now := d.hub.now()
	if d.keeping.since.IsZero() {
		d.keeping.since = now
	}
	var p *PermanentError
	if !errors.As(err, &p) && now.Sub(d.keeping.since) < quietTime || d.keeping.wrong == err.Error() {
		return
	}
	d.keeping.wrong = err.Error()
	fields := []zap.Field{zap.String("driver", d.db.Driver), zap.Error(err)}
	message := "aftercommit: the database is not as Hub.Keep wants it; that is tried again, and the app goes on"
	var statements interface{ Statements() string }
	if errors.As(err, &statements) {
		// Programs read the field. On a console it is escaped JSON, from which nobody can copy SQL, so the message has the SQL too.
		fields = append(fields, zap.String("sql", statements.Statements()))
		message += "; run:\n" + statements.Statements()
	}
	d.log().Warn(message, fields...)
}

// changedSchema looks at the keepers' work again if committed events say that the schema
// has changed.
func (d *handler) changedSchema(events []hooks.Event) {
	if len(d.keeping.keepers) == 0 {
		return
	}
	for i := range events {
		if events[i].Action == "schema.changed" {
			d.keeping.kick()
			return
		}
	}
}
