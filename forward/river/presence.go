package river

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// A process that works jobs writes heartbeats, with its place, into the metadata of its
// forwarders' queues. Resume reads them, so that it does not take jobs from the programs
// that they belong to; so do workers of another environment, which leave such jobs to them.

const (
	workersKey = "aftercommit_workers"
	// heartbeatLasts is how long a process counts as running after its last heartbeat.
	heartbeatLasts    = time.Minute
	heartbeatTime     = 10 * time.Second // that writing them may take
	lastHeartbeatTime = 2 * time.Second
	lookEvery         = time.Second
)

// heartbeatEvery is a variable for tests.
var heartbeatEvery = 20 * time.Second

// heartbeat is what a process writes.
type heartbeat struct {
	Process string `json:"process"` // its River client
	Place   string `json:"place"`
	// At is when, in seconds since 1970 by the clock of the database.
	At      float64 `json:"at"`
	Stopped bool    `json:"stopped"`
}

// heartbeats are those of one queue, by keys.
type heartbeats struct {
	all map[string]heartbeat
	now float64
}

// runs reports whether the process counts as running.
func (h *heartbeats) runs(x heartbeat) bool {
	return !x.Stopped && h.now-x.At < heartbeatLasts.Seconds()
}

// presence writes the heartbeats of a process, and reads those of others.
type presence struct {
	key, process string
	tables       *tables
	place        func(context.Context) (string, error)
	queues       []string
	log          *slog.Logger

	// stale are keys in each queue that are to be removed, used by one goroutine at a time.
	stale map[string][]string

	cancel  context.CancelFunc
	stopped chan struct{}

	mu   sync.Mutex
	here string // the place of the last heartbeat
	seen map[string]sight
}

// sight is where processes run that work jobs of a queue, as of the last look.
type sight struct {
	at     time.Time
	places map[string]bool
}

// start writes the first heartbeats, and goes on until stop.
func (p *presence) start(ctx context.Context) {
	p.key, p.stale, p.seen = uuid.NewString(), make(map[string][]string), make(map[string]sight)
	p.beat(ctx, false)
	ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.stopped = make(chan struct{})
	ticker := time.NewTicker(heartbeatEvery)
	go func() {
		defer close(p.stopped)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				p.beat(context.WithoutCancel(ctx), true)
				return
			case <-ticker.C:
				p.beat(ctx, false)
			}
		}
	}()
}

// stop writes that the process no longer works jobs. It does not wait for that for long: a
// server that hangs must not keep a program from stopping.
func (p *presence) stop() {
	p.cancel()
	select {
	case <-p.stopped:
	case <-time.After(lastHeartbeatTime):
	}
}

// beat writes a heartbeat for each queue. A failure is only logged: jobs are delivered all
// the same.
func (p *presence) beat(ctx context.Context, stopped bool) {
	limited, cancel := context.WithTimeout(ctx, heartbeatTime)
	defer cancel()
	if err := p.beatAll(limited, stopped); err != nil && ctx.Err() == nil && !stopped {
		p.log.WarnContext(ctx, "river: cannot write the heartbeat of this process, which works jobs here, so Resume with a wrong environment would not be refused", slog.Any("err", err))
	}
}

func (p *presence) beatAll(ctx context.Context, stopped bool) error {
	here, err := p.place(ctx)
	if err != nil {
		return err
	}
	table, err := p.tables.name(ctx, "river_queue")
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.here = here
	p.mu.Unlock()
	for _, queue := range p.queues {
		found, err := scanHeartbeats(p.tables.db.QueryRowContext(ctx, p.statement(table, queue, here, stopped)))
		if err != nil {
			return fmt.Errorf("river: write the heartbeat for queue %s: %w", queue, err)
		}
		p.stale[queue] = nil
		for key, n := range found.all {
			if key != p.key && !found.runs(n) {
				p.stale[queue] = append(p.stale[queue], key)
			}
		}
	}
	return nil
}

// serves reports whether a process runs that works jobs of the queue in a place that is
// another environment of this database. It looks at most once in lookEvery.
func (p *presence) serves(ctx context.Context, queue, place string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if place == p.here || !sameDatabase(place, p.here) {
		return false
	}
	if seen := p.seen[queue]; time.Since(seen.at) < lookEvery {
		return seen.places[place]
	}
	now := sight{time.Now(), make(map[string]bool)}
	p.seen[queue] = now
	found, err := p.tables.heartbeats(ctx, queue)
	if err != nil {
		return false // the job waits for longer
	}
	for _, n := range found.all {
		if found.runs(n) {
			now.places[n.Place] = true
		}
	}
	return now.places[place]
}

// statement writes a heartbeat for a queue, removes those that are stale, and returns all that
// are left. It is one statement, because other processes write there too.
func (p *presence) statement(table, queue, place string, stopped bool) string {
	var keys []string
	for _, key := range p.stale[queue] {
		if uuid.Validate(key) == nil {
			keys = append(keys, key)
		}
	}
	d := p.tables.dialect
	return strings.NewReplacer("{table}", table, "{queue}", queue, "{workers}", workersKey, "{key}", p.key, "{remove}", d.stale(keys),
		"{process}", d.literal(pgtext.Written(p.process)), "{place}", d.literal(place), "{stopped}", fmt.Sprint(stopped)).Replace(d.statements().heartbeat)
}

// heartbeats returns those of a queue.
func (t *tables) heartbeats(ctx context.Context, queue string) (heartbeats, error) {
	table, err := t.name(ctx, "river_queue")
	if err != nil {
		return heartbeats{}, err
	}
	found, err := scanHeartbeats(t.db.QueryRowContext(ctx, "SELECT "+strings.ReplaceAll(t.dialect.statements().heartbeats, "{workers}", workersKey)+" FROM "+table+" AS q WHERE name = '"+queue+"'"))
	if errors.Is(err, sql.ErrNoRows) {
		return heartbeats{}, nil
	}
	return found, err
}

func scanHeartbeats(row *sql.Row) (h heartbeats, err error) {
	var text sql.NullString
	if err = row.Scan(&text, &h.now); err != nil {
		return h, err
	}
	_ = json.Unmarshal([]byte(text.String), &h.all) // what others have written there is not ours
	return h, nil
}
