package txn

import (
	"slices"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// savepoint is what a ROLLBACK TO would take the transaction back to.
type savepoint struct {
	name    string
	items   int
	written int
	bytes   int
	// contexts is how many were noted.
	contexts int
	// outermost: the transaction began with it, so that its RELEASE commits.
	outermost bool
}

// TakenBack is what a ROLLBACK TO has taken back while the transaction goes on.
type TakenBack struct {
	Events []hooks.Event
	Funcs  []Func
}

// Savepoint notes that a savepoint was set.
func (r *Record) Savepoint(name string) {
	r.savepoints = append(r.savepoints, savepoint{name: name, items: len(r.items), written: r.written, bytes: r.bytes, contexts: len(r.contexts)})
}

// Replace notes that a savepoint was set on MySQL, which drops the one of that name.
func (r *Record) Replace(name string) {
	if i := r.find(name); i >= 0 {
		r.savepoints = slices.Delete(r.savepoints, i, i+1)
	}
	r.Savepoint(name)
}

// Release notes that a savepoint was released, and with it those inside it; what
// they kept stays.
func (r *Record) Release(name string) {
	r.attest(name)
	i := r.find(name)
	r.loseWitness(i)
	if i >= 0 {
		r.savepoints = r.savepoints[:i]
	}
}

// RollbackTo notes that the transaction was taken back to a savepoint, which
// remains.
//
// Events from before the savepoint that were written after it are taken back by
// the server, so they are pending again.
func (r *Record) RollbackTo(name string) TakenBack {
	r.attest(name)
	i := r.find(name)
	r.loseWitness(i)
	if i < 0 {
		return TakenBack{}
	}
	s := r.savepoints[i]
	r.savepoints = r.savepoints[:i+1]
	gone := r.items[s.items:]
	back := TakenBack{Events: eventsOf(gone, 0), Funcs: funcsOf(gone)}
	clear(gone)
	r.items = r.items[:s.items]
	r.contexts = r.contexts[:min(len(r.contexts), s.contexts)]
	r.written = min(r.written, s.written)
	r.bytes, r.history.made = s.bytes, tally{}
	return back
}

// ReleaseCommits reports whether releasing a savepoint commits the transaction.
func (r *Record) ReleaseCommits(name string) bool {
	return r.find(name) == 0 && r.savepoints[0].outermost
}

// find returns the index of the innermost savepoint of that name, or -1.
func (r *Record) find(name string) int {
	for i := len(r.savepoints) - 1; i >= 0; i-- {
		if r.savepoints[i].name == name {
			return i
		}
	}
	return -1
}

// floor is the index of the first item since the innermost savepoint: items
// before it must not change, or a ROLLBACK TO would not undo the change.
func (r *Record) floor() int {
	if n := len(r.savepoints); n > 0 {
		return max(r.savepoints[n-1].items, r.written)
	}
	return r.written
}
