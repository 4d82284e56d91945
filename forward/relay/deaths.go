package relay

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// deaths is what is known of the calls in which a holder of the lease has died, or has
// been stopped for longer than its lease, which looks the same. A sink may end its process
// by a panic in a goroutine that it has started, say: then the process leaves no failure
// behind, and the next one makes the same call.
//
// Where a holder has not given its lease back, the next one stores which entries a call
// has before it makes it, until it is past what the other may have been calling. If it
// dies too, the entries of that call are suspected, and come in small parts, down to single
// ones. So the normal path writes nothing, and at most three deaths find one bad event.
type deaths struct {
	// Calling are the entries of the call that is running.
	Calling []uuid.UUID `json:"calling,omitempty"`
	// Suspects are those of the last call in which a process has died. They are cleared
	// of suspicion when a call with them has shown what becomes of them.
	Suspects []uuid.UUID `json:"suspects,omitempty"`
	// Alone are those that were alone in a call in which a process has died, and have not
	// come through one since.
	Alone map[uuid.UUID]lone `json:"alone,omitempty"`

	part int // how many suspects come together
}

// lone is an entry that was alone in calls in which a process has died.
type lone struct {
	Deaths int `json:"deaths"`
	// Counted is how many of them were counted as attempts.
	Counted int       `json:"counted,omitempty"`
	Last    time.Time `json:"last"`
}

const (
	// fatal is how many processes must have died in a row in calls with an entry alone
	// before it is at fault: some may have been killed from outside.
	fatal = 5
	// few is how many suspects come one by one. If there are more, they come in parts.
	few = 32
	// rest is for how long there is no call in which a process is likely to die.
	rest = 10 * time.Minute
	// reasonDied is that of an entry which is at fault.
	reasonDied = "died"
)

func (d *deaths) empty() bool { return len(d.Calling)+len(d.Suspects)+len(d.Alone) == 0 }

// inherit notes that a process has died in the call that was running.
func (d *deaths) inherit(now time.Time) {
	switch n := len(d.Calling); {
	case n == 1:
		id := d.Calling[0]
		if d.Alone == nil {
			d.Alone = make(map[uuid.UUID]lone)
		}
		a := d.Alone[id]
		a.Deaths, a.Last = a.Deaths+1, now.UTC()
		d.Alone[id] = a
		d.clear(id)
	case n > 1:
		d.Suspects = d.Calling
	}
	d.Calling = nil
}

// plan sets how many suspects come together.
func (d *deaths) plan() {
	d.part = 1
	if n := len(d.Suspects); n > few {
		d.part = int(math.Sqrt(float64(n)))
	}
}

// concerns reports whether one of entries may be why a process has died.
func (d *deaths) concerns(entries []journal.Entry) bool {
	return slices.ContainsFunc(entries, func(e journal.Entry) bool {
		_, isAlone := d.Alone[e.ID]
		return isAlone || slices.Contains(d.Suspects, e.ID)
	})
}

// limit returns how many of n entries, of which id gives the ID, the next call gets.
func (d *deaths) limit(n int, id func(int) uuid.UUID) int {
	if len(d.Suspects)+len(d.Alone) == 0 {
		return n
	}
	for i := range n {
		if _, ok := d.Alone[id(i)]; ok {
			return max(i, 1)
		}
		if slices.Contains(d.Suspects, id(i)) {
			n = min(n, max(i, d.part))
		}
		if i+1 >= n {
			break
		}
	}
	return n
}

// clear notes that a call has come back, and what became of the entry.
func (d *deaths) clear(id uuid.UUID) {
	d.Suspects = slices.DeleteFunc(d.Suspects, func(s uuid.UUID) bool { return s == id })
}

// uncounted is how many deaths are to be counted as attempts against an entry.
func (d *deaths) uncounted(id uuid.UUID) int {
	a := d.Alone[id]
	if a.Deaths < fatal {
		return 0
	}
	return a.Deaths - a.Counted
}

// judge returns the failure of an entry that has been fatal, instead of another call. If
// nothing shows for long that the sink accepts others, there is another call.
func (d *deaths) judge(entries []journal.Entry, now time.Time) *Failure {
	if len(entries) != 1 || d.uncounted(entries[0].ID) == 0 {
		return nil
	}
	a := d.Alone[entries[0].ID]
	if now.Sub(a.Last) >= rest {
		return nil
	}
	return &Failure{Reason: reasonDied, Err: fmt.Errorf("the process died, or stood still for longer than its lease, in each of %d calls of the forwarder with this event alone", a.Deaths)}
}

// rests reports whether no others are to be tried instead of an entry that has been
// fatal, because several of these were fatal too: the sink may end its process whenever
// the service behind it is down.
func (d *deaths) rests(now time.Time) bool {
	if len(d.Alone) <= firstProbes {
		return false
	}
	var last time.Time
	for _, a := range d.Alone {
		if a.Last.After(last) {
			last = a.Last
		}
	}
	return now.Sub(last) < rest
}

// count notes that the deaths of entries are counted.
func (d *deaths) count(verdicts []verdict) (counted bool) {
	for i := range verdicts {
		v := &verdicts[i]
		a, ok := d.Alone[v.id]
		switch {
		case !ok:
			continue
		case v.discard:
			delete(d.Alone, v.id)
		default:
			a.Counted = a.Deaths
			d.Alone[v.id] = a
		}
		counted = true
	}
	return counted
}

// deathsID is the key of what is stored of a forwarder's deaths, among its failures.
var deathsID = uuid.Max

// stateCalling is that of the row.
const stateCalling = "calling"

// deaths reads what is known of a forwarder's.
func (s *Store) deaths(ctx context.Context, q querier, forwarder string) (d deaths, err error) {
	var text string
	err = q.QueryRowContext(ctx, "SELECT "+s.d.read("error")+" FROM "+s.prefix+"failures WHERE forwarder = "+s.quote(forwarder)+
		" AND event_id = '"+deathsID.String()+"' AND state = '"+stateCalling+"'").Scan(s.d.scan(&text))
	if errors.Is(err, sql.ErrNoRows) {
		return d, nil
	}
	if err == nil && json.Unmarshal([]byte(text), &d) != nil {
		d = deaths{} // of a later version
	}
	d.plan()
	return d, wrap("read in which calls processes have died", forwarder, err)
}

// noteDeaths stores it.
func (s *Store) noteDeaths(ctx context.Context, q querier, forwarder string, d *deaths) (err error) {
	name, now := s.quote(forwarder), s.d.now()
	query := "DELETE FROM " + s.prefix + "failures WHERE forwarder = " + name + " AND event_id = '" + deathsID.String() + "'"
	if !d.empty() {
		text, _ := json.Marshal(d) // it is IDs, numbers and times
		query = "INSERT INTO " + s.prefix + "failures (forwarder, event_id, state, attempts, next_at, reason, error, first_at, last_at) VALUES (" +
			name + ", '" + deathsID.String() + "', '" + stateCalling + "', 0, " + now + ", '" + reasonDied + "', " + s.quote(string(text)) + ", " + now + ", " + now +
			") ON CONFLICT (forwarder, event_id) DO UPDATE SET state = excluded.state, error = excluded.error, last_at = excluded.last_at"
	}
	_, err = q.ExecContext(ctx, query)
	return wrap("store in which calls processes die", forwarder, err)
}
