package otel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// patience is how long a collection waits for the databases.
const patience = 5 * time.Second

// Trail is an audit trail whose status can be asked for: a [forward.Hub].
type Trail interface {
	Status(ctx context.Context) forward.Status
}

var _ Trail = (*forward.Hub)(nil)

// gauges are what is asked for at each collection.
type gauges struct {
	lag                                           metric.Float64ObservableGauge
	behind, retrying, discarded, journal, pending metric.Int64ObservableGauge
}

// Watch asks the databases of s at each collection how delivery stands. A
// database that does not answer within five seconds has no points, and its error
// goes to OpenTelemetry's error handler. One from which this process does not relay
// ([forward.ErrNotAsked]) has none either, and that is no error: call Watch in the
// process that relays, such as that of Hub.Relay, or in one that works the Queue's jobs.
func (o *Observer) Watch(s Trail) error {
	var g gauges
	var errs []error
	for _, c := range []struct {
		gauge            *metric.Int64ObservableGauge
		name, unit, text string
	}{
		{&g.behind, "aftercommit.forwarder.behind", "{event}", "Committed entries that a forwarder has not got."},
		{&g.retrying, "aftercommit.forwarder.retrying", "{event}", "Entries that a forwarder has refused and will get again."},
		{&g.discarded, "aftercommit.forwarder.discarded", "{event}", "Entries that a forwarder will not get, until they are replayed or dismissed."},
		{&g.journal, "aftercommit.journal.entries", "{event}", "Entries of the journal, at most."},
		{&g.pending, "aftercommit.transactions.pending", "{transaction}", "Transactions whose outcome is not known yet."},
	} {
		var err error
		*c.gauge, err = o.meter.Int64ObservableGauge(c.name, metric.WithUnit(c.unit), metric.WithDescription(c.text))
		errs = append(errs, err)
	}
	var err error
	g.lag, err = o.meter.Float64ObservableGauge("aftercommit.forwarder.lag", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest entry that a forwarder has not got."))
	if err = errors.Join(append(errs, err)...); err != nil {
		return err
	}
	_, err = o.meter.RegisterCallback(func(ctx context.Context, to metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return g.observe(to, s.Status(ctx))
	}, g.lag, g.behind, g.retrying, g.discarded, g.journal, g.pending)
	return err
}

func (g *gauges) observe(to metric.Observer, st forward.Status) error {
	to.ObserveInt64(g.pending, int64(st.Pending))
	var errs []error
	for _, d := range st.Databases {
		driver := keyDriver.String(d.Driver)
		if d.JobsErr != nil {
			errs = append(errs, fmt.Errorf("otel: the database of %s was not asked: %w", d.Driver, d.JobsErr))
		}
		switch {
		case errors.Is(d.Err, forward.ErrNotAsked):
		case d.Err != nil:
			errs = append(errs, fmt.Errorf("otel: the database of %s was not asked: %w", d.Driver, d.Err))
		default:
			to.ObserveInt64(g.journal, d.Journal, metric.WithAttributes(driver))
		}
		// A forwarder that has moved from the relay to the Queue, and has not been retired
		// yet, is in both: its last points count.
		for _, f := range slices.Concat(d.Forwarders, d.Jobs) {
			if f.RetiredAt.IsZero() {
				g.forwarder(to, driver, &f)
			}
		}
	}
	return errors.Join(errs...)
}

func (g *gauges) forwarder(to metric.Observer, driver attribute.KeyValue, f *relay.State) {
	attrs := metric.WithAttributes(driver, keyForwarder.String(f.Forwarder))
	lag := 0.0
	if !f.Oldest.IsZero() {
		lag = max(time.Since(f.Oldest).Seconds(), 0)
	}
	to.ObserveFloat64(g.lag, lag, attrs)
	to.ObserveInt64(g.behind, f.Behind, attrs)
	to.ObserveInt64(g.retrying, f.Retrying, attrs)
	to.ObserveInt64(g.discarded, f.Discarded, attrs)
}
