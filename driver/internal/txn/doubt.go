package txn

import (
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// doubt is what may have happened to a transaction's savepoints unseen.
type doubt struct {
	// names has the savepoints that may have been set or released unseen, and how
	// many were known then; "" stands for all names.
	names map[string]int
	// released has those of them that may have gone, so that the name is that of
	// an older one.
	released map[string]bool
	reset    []string // savepoints that may have been set since the transaction may have ended
}

// doubtStmts notes that the savepoint statements among stmts may have taken effect, or
// any at all if stmts is nil.
func (r *Record) doubtStmts(stmts []lex.Statement) {
	d := &r.doubt
	if d.names == nil {
		d.names, d.released = make(map[string]int), make(map[string]bool)
	}
	n := len(r.savepoints)
	if stmts == nil {
		d.names[""] = n
	}
	for i := range stmts {
		switch s := &stmts[i]; s.Kind {
		case lex.Savepoint:
			d.names[s.Name] = n
		case lex.Release:
			d.names[s.Name], d.released[s.Name] = n, true
			for _, inside := range r.savepoints[r.find(s.Name)+1:] { // released with it
				d.names[inside.name], d.released[inside.name] = n, true
			}
		}
	}
}

// Doubtful reports whether name may be another savepoint than the one that was
// seen.
func (r *Record) Doubtful(name string) bool {
	i := r.find(name)
	return i < 0 || i < r.doubt.names[name] || i < r.doubt.names[""]
}

// attest is called when the database has found a savepoint: if it was set before
// the doubt, then so was everything else, and the transaction goes on.
func (r *Record) attest(name string) {
	if i := r.find(name); i >= 0 && i < r.maybeSavepoints && !slices.Contains(r.doubt.reset, name) {
		r.certain()
	}
}

// certain ends the doubt whether the transaction is over.
func (r *Record) certain() { r.maybe, r.maybeSavepoints, r.doubt.reset = 0, 0, nil }

// takeMaybe removes what may be of a transaction that is over.
func (r *Record) takeMaybe() []item {
	n := r.maybe
	taken := slices.Clone(r.items[:n])
	r.items = slices.Delete(r.items, 0, n)
	r.written = max(r.written-n, 0)
	for i := range r.savepoints {
		s := &r.savepoints[i]
		s.items, s.written = max(s.items-n, 0), max(s.written-n, 0)
	}
	r.certain()
	return taken
}

// takeBehind removes what came after the innermost savepoint of that name, or all
// if none was seen.
func (r *Record) takeBehind(name string) []item {
	kept, written := 0, 0
	i := r.find(name)
	if r.doubt.released[name] {
		i = slices.IndexFunc(r.savepoints, func(s savepoint) bool { return s.name == name })
	}
	if i >= 0 {
		kept, written = r.savepoints[i].items, r.savepoints[i].written
		r.savepoints = r.savepoints[:i+1]
	}
	for i := range r.savepoints {
		s := &r.savepoints[i]
		s.items, s.written = min(s.items, kept), min(s.written, written)
	}
	r.written = min(r.written, written)
	return r.takeFrom(kept)
}

// takeFrom removes the items from an index on.
func (r *Record) takeFrom(i int) []item {
	taken := slices.Clone(r.items[i:])
	clear(r.items[i:])
	r.items = r.items[:i]
	r.written = min(r.written, i)
	return taken
}
