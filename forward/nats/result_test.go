package nats

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/go-aftercommit/aftercommit/forward"
)

// future is an acknowledgement that has come, or will not come.
type future struct {
	ok  chan *jetstream.PubAck
	err chan error
}

func (f future) Ok() <-chan *jetstream.PubAck { return f.ok }
func (f future) Err() <-chan error            { return f.err }
func (f future) Msg() *nats.Msg               { return nil }

func acked() future {
	ok := make(chan *jetstream.PubAck, 1)
	ok <- &jetstream.PubAck{Stream: "AUDIT"}
	return future{ok: ok}
}

func refused(err error) future {
	errs := make(chan error, 1)
	errs <- err
	return future{err: errs}
}

// settle waits for acknowledgements after the time was over.
func settle(futures ...future) ([]result, error) {
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	results := make([]result, len(futures))
	for i, f := range futures {
		results[i] = result{id: uuid.New(), ack: f}
		results[i].wait(ctx)
	}
	return results, summary(results)
}

// TestPartial: those are named that have failed, and no others.
func TestPartial(t *testing.T) {
	results, err := settle(acked(), future{}, acked(), future{})
	var p *forward.PartialError
	if !errors.As(err, &p) || len(p.Failed) != 2 {
		t.Fatal(err)
	}
	for _, i := range []int{1, 3} {
		if !errors.Is(p.Failed[results[i].id], context.DeadlineExceeded) {
			t.Errorf("the entry %d has the error %v", i, p.Failed[results[i].id])
		}
	}
}

// TestSummary: an error for all, that may pass, is the sink's.
func TestSummary(t *testing.T) {
	lost := errors.New("lost")
	if _, err := settle(acked(), acked()); err != nil {
		t.Error(err)
	}
	var p *forward.PartialError
	if _, err := settle(future{}, future{}); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &p) {
		t.Error(err)
	}
	results := []result{{id: uuid.New(), err: lost}, {id: uuid.New(), err: forward.Permanent("large", lost)}}
	if err := summary(results); !errors.As(err, &p) || len(p.Failed) != 2 {
		t.Error(err)
	}
	results = []result{{id: uuid.New(), ack: refused(lost)}}
	results[0].wait(context.Background())
	if err := summary(results); err != lost { //nolint:errorlint // it is to be that very one
		t.Error(err)
	}
}
