package otel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	auditotel "github.com/go-aftercommit/aftercommit/forward/otel"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// points are what a collection gives, such as "aftercommit.events{event}
// aftercommit.outcome=logged": 2; the driver's name is left out.
type points map[string]float64

// collect returns the points, and the error of the callbacks.
func collect(t *testing.T, reader *sdk.ManualReader) (points, error) {
	t.Helper()
	var rm metricdata.ResourceMetrics
	err := reader.Collect(t.Context(), &rm)
	all := points{}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			name := m.Name + m.Unit
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					all[name+list(t, p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					all[name+list(t, p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					all[name+list(t, p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					all[name+list(t, p.Attributes)] = float64(p.Count)
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	return all, err
}

// list is the attributes, without the driver's name, which must be there.
func list(t *testing.T, set attribute.Set) string {
	t.Helper()
	var text strings.Builder
	for iter := set.Iter(); iter.Next(); {
		if kv := iter.Attribute(); kv.Key != "aftercommit.driver" {
			fmt.Fprintf(&text, " %s=%s", kv.Key, kv.Value.String())
		}
	}
	return text.String()
}

// want checks that there are these points of instruments that begin as prefix
// does, and no others of them.
func (got points) want(t *testing.T, prefix string, want points) {
	t.Helper()
	for point, v := range want {
		if g, ok := got[point]; !ok || g != v {
			t.Errorf("%s is %v (%v), want %v", point, g, ok, v)
		}
	}
	for point, v := range got {
		if _, ok := want[point]; strings.HasPrefix(point, prefix) && !ok {
			t.Errorf("there is a point %s of %v", point, v)
		}
	}
}

func newObserver(t *testing.T) (*auditotel.Observer, *sdk.ManualReader) {
	t.Helper()
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	ob, err := auditotel.New(&auditotel.Options{MeterProvider: provider})
	if err != nil {
		t.Fatal(err)
	}
	return ob, reader
}

// picky is a forwarder that can never take what is large.
type picky struct{}

func (picky) Forward(_ context.Context, entries []journal.Entry) error {
	failed := map[uuid.UUID]error{}
	for i := range entries {
		if entries[i].Action == "file.large" {
			failed[entries[i].ID] = forward.Permanent("too_large", errors.New("too large"))
		}
	}
	if len(failed) > 0 {
		return forward.Partial(failed)
	}
	return nil
}

// TestApp is an app whose events are committed, rolled back, delivered and
// discarded.
func TestApp(t *testing.T) {
	ob, reader := newObserver(t)
	told := make(chan hooks.Notice, 100)
	hub := forward.New(&forward.Options{Logger: zap.NewNop(), Observer: hooks.ObserverFunc(func(n hooks.Notice) {
		ob.Observe(n)
		told <- n
	})})
	hub.Register(picky{}, forward.Async)
	name := dbtest.Name("postgres")
	driver.Register(name, "postgres", hub)
	if err := ob.Watch(hub); err != nil {
		t.Fatal(err)
	}
	db := dbtest.Open(t, name, dbtest.Postgres(t))
	for _, actions := range [][]string{{"file.small", "file.large"}, {"file.undone"}} {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, action := range actions {
			if err := hooks.Record(t.Context(), tx, hooks.Event{Action: action, Actor: hooks.Actor{Type: hooks.System}}); err != nil {
				t.Fatal(err)
			}
		}
		end := tx.Commit
		if actions[0] == "file.undone" {
			end = tx.Rollback
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, told, hooks.NoticeDelivered, hooks.NoticeDiscarded)
	if err := hub.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := collect(t, reader)
	if err != nil {
		t.Fatal(err)
	}
	const to = " aftercommit.dispatch=async aftercommit.forwarder=otel_test.picky/default"
	got.want(t, "aftercommit.", points{
		"aftercommit.events{event} aftercommit.outcome=logged":                                       2,
		"aftercommit.events{event} aftercommit.outcome=rolled_back":                                  1,
		"aftercommit.deliveries{event}" + to + " aftercommit.outcome=enqueued":                       2,
		"aftercommit.deliveries{event}" + to + " aftercommit.outcome=delivered":                      1,
		"aftercommit.deliveries{event}" + to + " aftercommit.outcome=failed error.type=too_large":    1,
		"aftercommit.deliveries{event}" + to + " aftercommit.outcome=discarded error.type=too_large": 1,
		"aftercommit.delivery.durations" + to:                                                        1,
		"aftercommit.forwarder.lags aftercommit.forwarder=otel_test.picky/default":                   0,
		"aftercommit.forwarder.behind{event} aftercommit.forwarder=otel_test.picky/default":          0,
		"aftercommit.forwarder.retrying{event} aftercommit.forwarder=otel_test.picky/default":        0,
		"aftercommit.forwarder.discarded{event} aftercommit.forwarder=otel_test.picky/default":       1,
		"aftercommit.journal.entries{event}":                                                         2,
		"aftercommit.transactions.pending{transaction}":                                              0,
	})
}

func waitFor(t *testing.T, told <-chan hooks.Notice, kinds ...hooks.NoticeKind) {
	t.Helper()
	want := map[hooks.NoticeKind]bool{}
	for _, k := range kinds {
		want[k] = true
	}
	for deadline := time.After(time.Minute); len(want) > 0; {
		select {
		case n := <-told:
			delete(want, n.Kind)
		case <-deadline:
			t.Fatalf("no notices %v", want)
		}
	}
}

// TestNotices: each kind has its place.
func TestNotices(t *testing.T) {
	for _, c := range []struct {
		n    hooks.Notice
		want points
	}{
		{hooks.Notice{Kind: hooks.NoticeUnknown, Count: 3}, points{"aftercommit.events{event} aftercommit.outcome=unknown": 3}},
		{hooks.Notice{Kind: hooks.NoticeLost, Count: 3}, points{"aftercommit.events{event} aftercommit.outcome=lost": 3}},
		{hooks.Notice{Kind: hooks.NoticeSettled, Count: 3, Reason: hooks.RolledBack.String()}, points{"aftercommit.events.settled{event} aftercommit.outcome=rolled_back": 3}},
		{hooks.Notice{Kind: hooks.NoticeUnattributed, Count: 3}, points{"aftercommit.events.unattributed{event}": 3}},
		{hooks.Notice{Kind: hooks.NoticeUncaptured, Count: 3, Reason: "opaque"}, points{"aftercommit.statements.uncaptured{statement} aftercommit.reason=opaque": 3}},
		{hooks.Notice{Kind: hooks.NoticeCallback, Count: 3, Reason: "panic"}, points{"aftercommit.callbacks.failures{call} error.type=panic": 3}},
		{hooks.Notice{Kind: hooks.NoticeFailed, Count: 3, Reason: "journal"}, points{"aftercommit.journal.failures{failure} error.type=journal": 1}},
		{hooks.Notice{Kind: hooks.NoticeDiscarded, Count: 3, Reason: "pending_overflow"}, points{"aftercommit.deliveries{event} aftercommit.outcome=discarded error.type=pending_overflow": 3}},
		{hooks.Notice{Kind: hooks.NoticeSuspended, Forwarder: "f"}, points{"aftercommit.forwarder.suspensions{suspension} aftercommit.forwarder=f error.type=_OTHER": 1}},
		{hooks.Notice{Kind: hooks.NoticeResumed, Forwarder: "f"}, nil},
		{hooks.Notice{Kind: hooks.NoticeLag, Forwarder: "f", Count: 3, Duration: time.Hour}, nil}, // Watch knows better
		{hooks.Notice{Kind: hooks.NoticeMode, Count: 1, Reason: "off"}, nil},
		{hooks.Notice{Kind: hooks.NoticeUnmatched, Count: 1, Reason: "no_table"}, nil},
	} {
		t.Run(string(c.n.Kind), func(t *testing.T) {
			ob, reader := newObserver(t)
			ob.Observe(c.n)
			got, err := collect(t, reader)
			if err != nil {
				t.Fatal(err)
			}
			got.want(t, "", c.want)
		})
	}
}

// status is what a Hub may tell.
type status forward.Status

func (s status) Status(context.Context) forward.Status { return forward.Status(s) }

// TestWatch: what is behind, what is retired, and what does not answer.
func TestWatch(t *testing.T) {
	ob, reader := newObserver(t)
	down, locked := errors.New("down"), errors.New("locked")
	err := ob.Watch(status{Pending: 7, Databases: []forward.DatabaseStatus{
		{Driver: "a", Journal: 9, Forwarders: []relay.State{
			{Forwarder: "late", Behind: 3, Retrying: 2, Discarded: 1, Oldest: time.Now().Add(-time.Hour)},
			{Forwarder: "ahead", Oldest: time.Now().Add(time.Hour)},
			{Forwarder: "gone", Behind: 3, RetiredAt: time.Now()},
		}},
		{Driver: "b", Err: down},
		{Driver: "c", Err: fmt.Errorf("%w: the relay runs elsewhere", forward.ErrNotAsked), Jobs: []relay.State{{Forwarder: "queued", Behind: 5, Retrying: 4, Discarded: 6}}},
		{Driver: "d", Err: forward.ErrNotAsked, JobsErr: locked},
	}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := collect(t, reader)
	if !errors.Is(err, down) || !errors.Is(err, locked) || errors.Is(err, forward.ErrNotAsked) {
		t.Errorf("the collection says %v; a database that is not asked is no error", err)
	}
	const lag = "aftercommit.forwarder.lags aftercommit.forwarder=late"
	if got[lag] < 3600 || got[lag] > 3660 {
		t.Errorf("an hour is %v s", got[lag])
	}
	delete(got, lag)
	got.want(t, "", points{
		"aftercommit.transactions.pending{transaction}":                       7,
		"aftercommit.journal.entries{event}":                                  9,
		"aftercommit.forwarder.behind{event} aftercommit.forwarder=late":      3,
		"aftercommit.forwarder.retrying{event} aftercommit.forwarder=late":    2,
		"aftercommit.forwarder.discarded{event} aftercommit.forwarder=late":   1,
		"aftercommit.forwarder.lags aftercommit.forwarder=ahead":              0,
		"aftercommit.forwarder.behind{event} aftercommit.forwarder=ahead":     0,
		"aftercommit.forwarder.retrying{event} aftercommit.forwarder=ahead":   0,
		"aftercommit.forwarder.discarded{event} aftercommit.forwarder=ahead":  0,
		"aftercommit.forwarder.lags aftercommit.forwarder=queued":             0,
		"aftercommit.forwarder.behind{event} aftercommit.forwarder=queued":    5,
		"aftercommit.forwarder.retrying{event} aftercommit.forwarder=queued":  4,
		"aftercommit.forwarder.discarded{event} aftercommit.forwarder=queued": 6,
	})
}
