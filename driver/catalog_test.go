package driver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// shelf is a database's catalog, which counts what it is asked.
type shelf struct {
	catalogDialect
	has   map[string]*relation // by name; any other is missing
	err   error
	asked int
}

func (s *shelf) placed(_ *session, t lex.Table) lex.Table { return t }
func (s *shelf) isTemporary(string) bool                  { return false }
func (s *shelf) catalogFailed(_ *catalog, err error) error {
	return err
}

func (s *shelf) ask(_ context.Context, k *catalog, t lex.Table, _ bool) (*relation, error) {
	s.asked++
	if r := s.has[t.Name]; r != nil || s.err != nil {
		return r, s.err
	}
	r := k.asWritten(t)
	r.missing = true
	return r, nil
}

type inTransaction bool

func (in *inTransaction) Open() bool { return bool(*in) }

// shelved is a catalog over a shelf that has a table t, and its transaction.
func shelved() (*catalog, *shelf, *inTransaction) {
	s := &shelf{has: map[string]*relation{"t": {steps: []step{{Table: lex.Table{Schema: "public", Name: "t"}}}}}}
	in := new(inTransaction)
	own := &querier{optional: &optional{conn: nothing{}}, is: &postgresFacts, cfg: &config{}}
	return &catalog{own: own, tx: in, dialect: s, is: &postgresFacts, access: new(access)}, s, in
}

// meaning asks for the table that a write names, and returns what that stands for.
func meaning(t *testing.T, k *catalog, name string) *relation {
	t.Helper()
	table := lex.Table{Name: name}
	m := meanings{k: k, stmts: []lex.Statement{{Kind: lex.Write, Tables: []lex.Table{table}}}, split: 1}
	if err := k.ask(t.Context(), &m, before, false); err != nil {
		t.Fatal(err)
	}
	m.early = k.found
	return m.of(0, table)
}

// TestCatalogAsks: a name is asked for once until its meaning may have changed; one that
// was missing is asked for again.
func TestCatalogAsks(t *testing.T) {
	k, s, _ := shelved()
	for i, c := range []struct {
		name  string
		then  func()
		asked int
	}{
		{"t", nil, 1},
		{"t", nil, 1},
		{"none", nil, 2},
		{"none", nil, 3},
		{"t", k.forget, 4},
		{"t", func() { k.movedBack(true) }, 4}, // nothing has moved in the transaction
		{"t", func() { k.moved(false) }, 5},
		{"t", func() { k.access.mute.Store(true); k.forget() }, 5},
	} {
		if c.then != nil {
			c.then()
		}
		meaning(t, k, c.name)
		if s.asked != c.asked {
			t.Fatalf("step %d: asked %d times, want %d", i, s.asked, c.asked)
		}
	}
}

// TestCatalogRollsBack: what a transaction may have changed in the meaning of names is
// forgotten by a ROLLBACK TO, and once more at its end.
func TestCatalogRollsBack(t *testing.T) {
	k, s, in := shelved()
	meaning(t, k, "t")
	*in = true
	k.moved(false)
	for i, ended := range []bool{false, true, true} {
		meaning(t, k, "t")
		k.movedBack(ended)
		if forgot, want := k.found == nil, i < 2; forgot != want {
			t.Fatalf("step %d: forgotten %v, want %v", i, forgot, want)
		}
	}
	if s.asked != 4 {
		t.Errorf("asked %d times, want 4", s.asked)
	}
}

// TestCatalogExpires: what was found long ago is asked for again, and is used as it was
// where that is not possible.
func TestCatalogExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s, _ := shelved()
		was := meaning(t, k, "t")
		s.has["t"] = &relation{steps: []step{{Table: lex.Table{Schema: "other", Name: "t"}}}}
		if got := meaning(t, k, "t"); got != was {
			t.Errorf("at once it is %v", got.steps)
		}
		time.Sleep(namesLast + 1)
		k.access.mute.Store(true)
		if got := meaning(t, k, "t"); got != was {
			t.Errorf("where it cannot be asked it is %v", got.steps)
		}
		k.access.mute.Store(false)
		if got := meaning(t, k, "t"); got != s.has["t"] {
			t.Errorf("asked again it is %v", got.steps)
		}
	})
}

// TestCatalogFails: the error of a question that the app's statement would fail with, too,
// is returned, and nothing is learnt by it.
func TestCatalogFails(t *testing.T) {
	k, s, _ := shelved()
	s.err = errors.New("deadlock")
	m := meanings{k: k, stmts: []lex.Statement{{Kind: lex.Write, Tables: []lex.Table{{Name: "u"}}}}, split: 1}
	if err := k.ask(t.Context(), &m, before, false); !errors.Is(err, s.err) || k.found != nil {
		t.Errorf("error %v, found %v", err, k.found)
	}
}
