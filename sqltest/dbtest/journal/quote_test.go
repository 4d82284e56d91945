package journal_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// hostile are texts that have ended a literal early somewhere.
var hostile = []string{
	`'`, `''`, `\`, `\\`, `\'`, `'\`, `\\'`, `\x27`, `\047`, `\u0027`, `\U00000027`, `');DROP TABLE orders;--`,
	`$$`, `$1`, `?`, `:name`, `E'`, "\n\r\t\b\f", "\x01\x1f\x7f", `"`, `\"`, "/*", "--", ";",
	"\u2028\u2029", "ａ＇", "\u02bc", "あ\\'", "ソ\\", "表'", "�", "🙂", "\U0010FFFF", "é", "<>&",
}

// FuzzQuoting writes a text through each driver, under both settings of
// standard_conforming_strings, and reads it back.
func FuzzQuoting(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Add(strings.Join(hostile, ""))
	rigs := quotingRigs(f)
	f.Fuzz(func(t *testing.T, text string) {
		ev := event("text.kept")
		ev.Comment, ev.Metadata = text, map[string]any{text: text}
		if hooks.Validate(ev) != nil {
			t.Skip("no store holds it, so Record refuses it")
		}
		for _, r := range rigs {
			r.checkQuoting(t, ev)
		}
	})
}

func (r *rig) checkQuoting(t *testing.T, ev hooks.Event) {
	t.Helper()
	own := *r.session
	own.t = t // the fuzz target's, not its parent's
	r = &rig{session: &own, e: r.e, j: r.j}
	for _, setting := range []string{"on", "off"} {
		if r.e.Dialect == hooks.Postgres {
			r.exec("SET standard_conforming_strings = " + setting)
		}
		r.exec("BEGIN")
		_, err := r.j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(r.conn), Events: []hooks.Event{ev}, Key: newKey(), Tx: 1, Must: true, Timeout: dbtest.Patience})
		if err != nil {
			t.Fatalf("%s, standard_conforming_strings %s: %q: %v", r.e.Name, setting, ev.Comment, err)
		}
		got, err := r.of(r.session, ev)
		r.exec("ROLLBACK")
		if err != nil || len(got) != 1 || got[0].Comment != ev.Comment || got[0].Metadata[ev.Comment] != ev.Comment {
			t.Fatalf("%s, standard_conforming_strings %s: %q came back as %+v, %v", r.e.Name, setting, ev.Comment, got, err)
		}
	}
}

func quotingRigs(f *testing.F) []*rig {
	f.Helper()
	var rigs []*rig
	for _, e := range dbtest.Engines() {
		rigs = append(rigs, newRig(f, e))
	}
	return rigs
}

// In some client encodings the second byte of a character may be that of a
// backslash. What is sent is ASCII, so that they change nothing.
func TestHostileClientEncodings(t *testing.T) {
	for _, encoding := range []string{"SJIS", "BIG5", "GBK", "GB18030", "UHC", "LATIN1"} {
		t.Run(encoding, func(t *testing.T) {
			r := newRig(t, dbtest.PGX) // lib/pq refuses to go on after such a SET
			for _, text := range hostile {
				ev := event("text.kept")
				ev.Comment = text
				r.exec("BEGIN")
				r.exec("SET LOCAL client_encoding = " + encoding)
				r.write(r.j, 1, ev)
				r.exec("COMMIT")
			}
			for i, entry := range r.entries() {
				if entry.Comment != hostile[i] {
					t.Errorf("%q came back as %q", hostile[i], entry.Comment)
				}
			}
		})
	}
}

// A database of encoding SQL_ASCII stores bytes, but cannot decode \u escapes.
func TestSQLASCII(t *testing.T) {
	c := dbtest.Shared(t)
	dsn := c.Database(t)
	db := dbtest.Open(t, dbtest.PQ.Driver, dsn)
	admin := newSession(t, db)
	admin.exec("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	t.Cleanup(func() { admin.exec("DROP DATABASE bytes WITH (FORCE)") })
	for _, e := range dbtest.PostgresEngines() {
		e.DSN = func(testing.TB) string { return c.DSN("bytes") }
		t.Run(e.Name, func(t *testing.T) {
			r := &rig{e: e, db: dbtest.Open(t, e.Driver, e.DSN(t)), j: newJournal(t, e.Dialect, nil)}
			r.session = newSession(t, r.db)
			r.connect(r.session)
			for _, text := range hostile {
				ev := event("text.kept")
				ev.Comment, ev.Metadata = text, map[string]any{text: text}
				r.checkQuoting(t, ev)
			}
		})
	}
}
