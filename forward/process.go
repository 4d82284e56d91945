package forward

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// Relay delivers from the journal in db to this Hub's forwarders until ctx ends:
// for a process that does nothing else, beside apps with [RelayElsewhere] or
// alone. Any number of processes may run it; one at a time delivers to each forwarder.
// db is of the base driver, not of the wrapped one, through which a sink's own statements
// would be events again: that is an error. Its role needs USAGE on the journal's schema, EXECUTE
// on its functions, SELECT on its table journal and all rights on the other
// tables; the owner has them. If db allows two connections or more, one is kept for
// renewing leases. With one connection, takeover from this process takes longer, by the
// time that a call may take. A Hub without forwarders is an error: register those of the
// apps.
func (h *Hub) Relay(ctx context.Context, db *sql.DB, dialect hooks.Dialect) error {
	db = nildb.Replace(db)
	d := h.newHandler(hooks.Database{Driver: "relay", Dialect: dialect})
	d.asked, d.keeping.pool = true, db
	if err := h.journaled(); err != nil {
		return err
	}
	if len(d.sinks) == 0 {
		return errNoForwarders
	}
	for _, s := range d.sinks {
		if err := d.mayHaveChanges(s); err != nil {
			return err
		}
	}
	d.sinks = slices.DeleteFunc(d.sinks, func(s *sink) bool { return s.dispatch != Sync && h.external != nil }) // the Queue's
	if len(d.sinks) == 0 {
		d.log().Warn("aftercommit: Hub.Relay has nothing to deliver, because Options.Queue delivers to all forwarders of this Hub: call Hub.Work for those, and register here what is delivered within Commit (Sync)")
	}
	var err error
	if d.journal, err = journal.New(dialect, h.journal); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	if d.queue.store, err = d.newStore(dialect); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	for _, s := range d.sinks {
		s.inCommit.Store(s.dispatch == Sync)
	}
	if err := d.setUpRelay(ctx, db); err != nil {
		return d.explainRights(ctx, db, err)
	}
	d.runQueue(db)
	d.logProcess("aftercommit: the relay has started", d.sinks)
	d.lookAgain(db)
	d.keep()
	return d.closeAfter(ctx)
}

var errNoForwarders = errors.New("forward: Hub.Relay delivers nothing, because this Hub has no forwarders: " +
	"register those of the apps before it, by the same types and forward.IDs (relay.Store.States lists the names that are registered)")

// relayGrants are all rights that a role needs to relay.
const relayGrants = `GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {role}; ` +
	`GRANT SELECT ON {schema}.journal TO {role}; GRANT ALL ON {schema}.cursors, {schema}.retries, {schema}.acknowledged, {schema}.workers TO {role}`

// explainRights returns err with all that the role needs, if it lacks a right: what the
// journal or a table lacks by itself would only lead to the next error.
func (d *handler) explainRights(ctx context.Context, db *sql.DB, err error) error {
	var setup *journal.SetupError
	isSetup := errors.As(err, &setup)
	if isSetup && !setup.Denied() || !isSetup && hooks.SQLState(err) != insufficientPrivilege {
		return err
	}
	cause := err
	if isSetup {
		cause = setup.Err
	}
	schema := d.journal.Schema()
	roles := pgschema.Ask(ctx, db, schema)
	grants := roles.Grant(strings.ReplaceAll(relayGrants, "{schema}", pgschema.Ident(schema)))
	return &journal.SetupError{
		Problem: roles.Who() + " may not relay",
		Remedy:  "connect as " + roles.Whose() + ", which owns schema " + schema + ", or run as that role: " + grants,
		SQL:     grants, Err: cause,
	}
}

// closeAfter waits until ctx ends and stops what a process was started for.
func (d *handler) closeAfter(ctx context.Context) error {
	d.hub.keepOpen(d)
	defer d.hub.forget(d)
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return d.closeQueue(stop)
}

// setUpRelay makes the tables and attaches the forwarders, over one connection.
func (d *handler) setUpRelay(ctx context.Context, db *sql.DB) error {
	if err := d.checkPool(ctx, db); err != nil {
		return err
	}
	if err := d.journal.Connect(ctx, db); err != nil {
		return err
	}
	d.sayUpgraded()
	for _, s := range d.sinks {
		err := d.register(ctx, db, s)
		if err != nil && !d.registersLater(s, err) {
			return err
		}
	}
	return d.attach(ctx, db)
}

// register makes a forwarder's cursor. What a new one does not reach is logged once it is
// committed.
func (d *handler) register(ctx context.Context, db *sql.DB, s *sink) error {
	store := d.queue.store
	known, err := store.Registered(ctx, db, s.name())
	if err == nil {
		err = store.RegisterFrom(ctx, db, s.name(), d.starter.from())
	}
	if err != nil {
		return err
	}
	if !known {
		var taken bool
		taken, err = store.TakesOver(ctx, db, s.name())
		s.takenOver.Store(taken)
	}
	s.isNew.Store(!known)
	if inFlush := d.dialect.local() && !d.asked; !inFlush { // which may be rolled back
		d.sayNew()
	}
	return err
}

// sayNew logs which forwarders were registered just now: they get nothing that was
// committed before, even if a Queue has jobs for it.
func (d *handler) sayNew() {
	for _, s := range d.sinks {
		if !s.isNew.Swap(false) {
			continue
		}
		if s.takenOver.Load() {
			d.log().Info("aftercommit: a forwarder was taken over from an earlier version: the relay goes on where the relay of that version has stopped",
				zap.String("driver", d.db.Driver), zap.String("forwarder", s.name()))
			continue
		}
		d.log().Info("aftercommit: a forwarder was registered, and the relay delivers to it what is committed from now on (on SQLite without Hub.Relay, commits do); "+
			"for earlier entries call relay.Store.Replay with this Forwarder and a From; if it has moved here from a Queue, call Hub.Work of a Hub with Options.Queue until no job waits for it",
			zap.String("driver", d.db.Driver), zap.String("forwarder", s.name()), zap.Time("from", d.hub.now().UTC()))
	}
}

// sayUpgraded logs that the journal's tables were upgraded, and that the last step of that is
// left.
func (d *handler) sayUpgraded() {
	upgraded, before := d.journal.Upgraded()
	schema := d.journal.Schema()
	if upgraded {
		d.log().Info("aftercommit: the journal's tables were upgraded: programs of the version before go on beside this one, see \"Upgrading\" in forward/README.md",
			zap.String("driver", d.db.Driver), zap.String("schema", schema))
	}
	if before {
		d.log().Info("aftercommit: the table of the version before is still there: new events are in the view journal_events; when no program of that version is left, run journal.Swap",
			zap.String("driver", d.db.Driver), zap.String("schema", schema))
	}
}

// checkPool returns an error if db cannot be that of a process for delivery: if it speaks
// another dialect, or what is executed on it is audited.
func (d *handler) checkPool(ctx context.Context, db *sql.DB) error {
	if err := d.nameLog(ctx, db); err != nil {
		return err
	}
	wrapped, err := hooks.Wrapped(ctx, db)
	if err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	if wrapped {
		return errAudited
	}
	return nil
}

var errAudited = errors.New("forward: this database is audited itself, so what a sink executes on it would be new events for that sink, without end: " +
	"give Hub.Relay and Hub.Work one of the base driver, as sql.Open returns it for the name that driver.Register has as base")

// registersLater reports whether another session keeps a forwarder's row locked. The
// other forwarders must not wait for that; the relay registers this one later.
func (d *handler) registersLater(s *sink, err error) bool {
	if hooks.SQLState(err) != lockNotAvailable {
		return false
	}
	d.log().Warn("aftercommit: a forwarder cannot be registered, because another session registers it in a transaction that it keeps open: "+
		"end that session, see pg_locks; the forwarder gets only what is committed after that",
		zap.String("forwarder", s.name()), zap.Error(err))
	return true
}
