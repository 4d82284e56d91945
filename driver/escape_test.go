package driver

import (
	"database/sql/driver"
	"slices"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// nothing is a connection that answers nothing.
type nothing struct{ driver.Conn }

// Prepare refuses.
func (nothing) Prepare(string) (driver.Stmt, error) { return nil, driver.ErrBadConn }

// TestReportedParameter: where the base driver knows the setting, the server is
// not asked; the connection here could not.
func TestReportedParameter(t *testing.T) {
	const query = `SELECT 'a\'b', 'c'; COMMIT; SELECT 'd'`
	for setting, want := range map[string][]lex.Kind{
		"on":  {lex.Read},
		"off": {lex.Read, lex.Commit, lex.Read},
		"":    {lex.Read, lex.Commit, lex.Read, lex.Opaque},
	} {
		cfg := defaultConfig()
		cfg.parameter = func(_ driver.Conn, name string) string {
			if name != "standard_conforming_strings" {
				t.Errorf("asked for %q", name)
			}
			return setting
		}
		q := &querier{optional: &optional{conn: nothing{}}, is: &postgresFacts, cfg: &cfg}
		stmts := postgres{}.parse(t.Context(), &parser{own: q, lexed: lex.Postgres, key: cfg.keyColumn}, query, nil, true)
		var got []lex.Kind
		for _, s := range stmts {
			got = append(got, s.Kind)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: kinds %v, want %v", setting, got, want)
		}
	}
}

// TestKnownThroughWrappers: what the base driver knows is found also below wrappers
// that show what they wrap.
func TestKnownThroughWrappers(t *testing.T) {
	cfg := defaultConfig()
	cfg.parameter = func(base driver.Conn, _ string) string {
		if _, ok := base.(nothing); ok {
			return "off"
		}
		return ""
	}
	cfg.status = func(base driver.Conn) TxStatus {
		if _, ok := base.(nothing); ok {
			return TxFailed
		}
		return TxUnknown
	}
	type shows struct{ driver.Conn }
	q := &querier{optional: &optional{conn: shows{shows{nothing{}}}}, is: &postgresFacts, cfg: &cfg}
	if got := q.stringsConform(t.Context()); got != "off" {
		t.Errorf("the setting is %q", got)
	}
	if s, known := q.status(); !known || s != stateAborted {
		t.Errorf("the status is %v, known %v", s, known)
	}
}
