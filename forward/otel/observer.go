package otel

import (
	"context"
	"errors"
	"strings"

	otelapi "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// scope names the instrumentation.
const scope = "github.com/go-aftercommit/aftercommit/forward/otel"

// The attributes.
const (
	keyDriver    = attribute.Key("aftercommit.driver")
	keyForwarder = attribute.Key("aftercommit.forwarder")
	keyDispatch  = attribute.Key("aftercommit.dispatch")
	keyOutcome   = attribute.Key("aftercommit.outcome")
	keyReason    = attribute.Key("aftercommit.reason")
	keyError     = attribute.Key("error.type")
)

// Options of an [Observer]; nil is fine.
type Options struct {
	// MeterProvider makes the instruments; the default is OpenTelemetry's global
	// one.
	MeterProvider metric.MeterProvider
}

// Observer counts notices. It is safe for concurrent use.
type Observer struct {
	meter metric.Meter
	words words

	events, settled, unattributed, uncaptured metric.Int64Counter
	journalFailures, callbackFailures         metric.Int64Counter
	deliveries, suspensions                   metric.Int64Counter
	duration                                  metric.Float64Histogram
}

var _ hooks.Observer = (*Observer)(nil)

// New makes the instruments. The error is the meter's.
func New(o *Options) (*Observer, error) {
	provider := otelapi.GetMeterProvider()
	if o != nil && o.MeterProvider != nil {
		provider = o.MeterProvider
	}
	ob := &Observer{meter: provider.Meter(scope)}
	var errs []error
	for _, c := range []struct {
		counter          *metric.Int64Counter
		name, unit, text string
	}{
		{&ob.events, "aftercommit.events", "{event}", "Recorded events by what became of them."},
		{&ob.settled, "aftercommit.events.settled", "{event}", "Events whose unknown outcome is known now."},
		{&ob.unattributed, "aftercommit.events.unattributed", "{event}", "Events without an actor."},
		{&ob.uncaptured, "aftercommit.statements.uncaptured", "{statement}", "Statements that may have written what capture could not see."},
		{&ob.journalFailures, "aftercommit.journal.failures", "{failure}", "Attempts to write events that failed."},
		{&ob.callbackFailures, "aftercommit.callbacks.failures", "{call}", "Functions of OnCommit and OnRollback that were not run to their end."},
		{&ob.deliveries, "aftercommit.deliveries", "{event}", "Events by what a forwarder did with them."},
		{&ob.suspensions, "aftercommit.forwarder.suspensions", "{suspension}", "Times that a forwarder took nothing and was left alone."},
	} {
		var err error
		*c.counter, err = ob.meter.Int64Counter(c.name, metric.WithUnit(c.unit), metric.WithDescription(c.text))
		errs = append(errs, err)
	}
	var err error
	ob.duration, err = ob.meter.Float64Histogram("aftercommit.delivery.duration", metric.WithUnit("s"),
		metric.WithDescription("Time that calls of a forwarder took."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	return ob, errors.Join(append(errs, err)...)
}

// Observe implements [hooks.Observer].
func (o *Observer) Observe(n hooks.Notice) {
	driver, count := keyDriver.String(n.Driver), int64(n.Count)
	switch n.Kind {
	case hooks.NoticeLogged, hooks.NoticeRolledBack, hooks.NoticeUnknown, hooks.NoticeLost:
		add(o.events, count, driver, keyOutcome.String(string(n.Kind)))
	case hooks.NoticeSettled:
		add(o.settled, count, driver, keyOutcome.String(strings.ReplaceAll(n.Reason, " ", "_")))
	case hooks.NoticeUnattributed:
		add(o.unattributed, count, driver)
	case hooks.NoticeUncaptured:
		add(o.uncaptured, count, driver, keyReason.String(n.Reason))
	case hooks.NoticeCallback:
		add(o.callbackFailures, count, driver, keyError.String(o.words.of(n.Reason)))
	case hooks.NoticeEnqueued, hooks.NoticeWaiting, hooks.NoticeDelivered, hooks.NoticeFailed, hooks.NoticeDiscarded:
		o.delivery(n)
	case hooks.NoticeSuspended:
		add(o.suspensions, 1, driver, keyForwarder.String(n.Forwarder), keyError.String(o.words.of(n.Reason)))
	}
}

// delivery counts what is about a forwarder, or about all of them: events that
// were dropped before any got them name none.
func (o *Observer) delivery(n hooks.Notice) {
	if n.Kind == hooks.NoticeFailed && n.Forwarder == "" {
		add(o.journalFailures, 1, keyDriver.String(n.Driver), keyError.String(o.words.of(n.Reason)))
		return
	}
	attrs := []attribute.KeyValue{keyDriver.String(n.Driver)}
	if n.Forwarder != "" {
		attrs = append(attrs, keyForwarder.String(n.Forwarder), keyDispatch.String(n.Dispatch))
	}
	if n.Kind == hooks.NoticeDelivered {
		o.duration.Record(context.Background(), n.Duration.Seconds(), metric.WithAttributes(attrs...))
	}
	attrs = append(attrs, keyOutcome.String(string(n.Kind)))
	switch n.Kind {
	case hooks.NoticeFailed, hooks.NoticeDiscarded, hooks.NoticeWaiting:
		attrs = append(attrs, keyError.String(o.words.of(n.Reason)))
	}
	add(o.deliveries, int64(n.Count), attrs...)
}

func add(c metric.Int64Counter, n int64, attrs ...attribute.KeyValue) {
	c.Add(context.Background(), n, metric.WithAttributes(attrs...))
}
