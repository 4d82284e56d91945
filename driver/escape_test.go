package driver

import (
	"database/sql/driver"
	"slices"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestReportedParameter: where the base driver knows the setting, the server is
// not asked; the connection here could not.
func TestReportedParameter(t *testing.T) {
	const query = `SELECT 'a\'b', 'c'; COMMIT; SELECT 'd'`
	for setting, want := range map[string][]lex.Kind{
		"on":  {lex.Read},
		"off": {lex.Read, lex.Commit, lex.Read},
		"":    {lex.Read, lex.Commit, lex.Read, lex.Opaque},
	} {
		reg := &registration{cfg: defaultConfig()}
		reg.cfg.parameter = func(_ driver.Conn, name string) string {
			if name != "standard_conforming_strings" {
				t.Errorf("asked for %q", name)
			}
			return setting
		}
		c := &conn{own: &optional{}, db: &database{reg: reg, dialect: hooks.Postgres}}
		stmts := c.parse(t.Context(), query, nil)
		var got []lex.Kind
		for _, s := range stmts {
			got = append(got, s.Kind)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: kinds %v, want %v", setting, got, want)
		}
	}
}
