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

// A process that works jobs notes where it is, in the metadata of its forwarders' queues.
// Resume reads the notes, so that it does not take jobs from the programs that they belong
// to; and so do workers of another environment, which leave those jobs to them.

const (
	workersKey = "aftercommit_workers"
	// noteLasts is for how long a process counts as running after its last note.
	noteLasts = time.Minute
	noteTime  = 10 * time.Second
	lookEvery = time.Second
)

// noteEvery is a variable for tests.
var noteEvery = 20 * time.Second

// note is what a process notes.
type note struct {
	Process string `json:"process"` // its River client
	Place   string `json:"place"`
	// At is when, in seconds since 1970 by the clock of the database.
	At      float64 `json:"at"`
	Stopped bool    `json:"stopped"`
}

// notes are those of one queue, by keys.
type notes struct {
	all map[string]note
	now float64
}

// runs reports whether the process counts as running.
func (n *notes) runs(x note) bool { return !x.Stopped && n.now-x.At < noteLasts.Seconds() }

// presence is what a process has noted, and has read.
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
	here string // the place of the last note
	seen map[string]sight
}

// sight is where processes run that work jobs of a queue, as of the last look.
type sight struct {
	at     time.Time
	places map[string]bool
}

// start notes, and goes on to do so until stop.
func (p *presence) start(ctx context.Context) {
	p.key, p.stale, p.seen = uuid.NewString(), make(map[string][]string), make(map[string]sight)
	p.note(ctx, false)
	ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.stopped = make(chan struct{})
	ticker := time.NewTicker(noteEvery)
	go func() {
		defer close(p.stopped)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				p.note(ctx, false)
			}
		}
	}()
}

// stop notes that the process no longer works jobs.
func (p *presence) stop(ctx context.Context) {
	p.cancel()
	<-p.stopped
	p.note(context.WithoutCancel(ctx), true)
}

// note notes for all queues. What fails is only logged: jobs are delivered all the same.
func (p *presence) note(ctx context.Context, stopped bool) {
	limited, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	if err := p.noteAll(limited, stopped); err != nil && ctx.Err() == nil {
		p.log.WarnContext(ctx, "river: cannot note that this process works jobs here, so Resume with a wrong environment would not be refused", slog.Any("err", err))
	}
}

func (p *presence) noteAll(ctx context.Context, stopped bool) error {
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
		found, err := scanNotes(p.tables.db.QueryRowContext(ctx, p.statement(table, queue, here, stopped)))
		if err != nil {
			return fmt.Errorf("river: note that jobs of queue %s are worked here: %w", queue, err)
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
	found, err := p.tables.notes(ctx, queue)
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

// statement notes for a queue, without the notes that are stale, and returns all notes. It
// is one statement, because other processes note there too.
func (p *presence) statement(table, queue, place string, stopped bool) string {
	var keys []string
	for _, key := range p.stale[queue] {
		if uuid.Validate(key) == nil {
			keys = append(keys, key)
		}
	}
	d := p.tables.dialect
	return strings.NewReplacer("{table}", table, "{queue}", queue, "{workers}", workersKey, "{key}", p.key, "{remove}", d.stale(keys),
		"{process}", d.literal(pgtext.Written(p.process)), "{place}", d.literal(place), "{stopped}", fmt.Sprint(stopped)).Replace(d.statements().note)
}

// notes returns those of a queue.
func (t *tables) notes(ctx context.Context, queue string) (notes, error) {
	table, err := t.name(ctx, "river_queue")
	if err != nil {
		return notes{}, err
	}
	found, err := scanNotes(t.db.QueryRowContext(ctx, "SELECT "+strings.ReplaceAll(t.dialect.statements().notes, "{workers}", workersKey)+" FROM "+table+" AS q WHERE name = '"+queue+"'"))
	if errors.Is(err, sql.ErrNoRows) {
		return notes{}, nil
	}
	return found, err
}

func scanNotes(row *sql.Row) (n notes, err error) {
	var text sql.NullString
	if err = row.Scan(&text, &n.now); err != nil {
		return n, err
	}
	_ = json.Unmarshal([]byte(text.String), &n.all) // what others have written there is not ours
	return n, nil
}
