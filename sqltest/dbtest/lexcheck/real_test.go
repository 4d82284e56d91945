package lexcheck

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// module is one that has SQL in it, as test data, migrations or literals. Its
// version is fixed, so that the texts are.
type module struct {
	name string
	// share: without AFTERCOMMIT_LONG=1 one text of so many is looked at.
	share uint32
}

var modules = []module{
	{"ariga.io/atlas@v0.32.1-0.20250325101103-175b25e1c1b9", 3},
	{"github.com/authzed/spicedb@v1.56.2", 3},
	{"github.com/go-jet/jet/v2@v2.14.1", 3},
	{"github.com/golang-migrate/migrate/v4@v4.20.1", 3},
	{"github.com/jackc/pgx/v5@v5.12.0", 3},
	{"github.com/lib/pq@v1.12.3", 3},
	{"github.com/ory/hydra/v2@v2.3.0", 3},
	{"github.com/pganalyze/pg_query_go/v6@v6.2.2", 1},
	{"github.com/pressly/goose/v3@v3.30.0", 3},
	{"github.com/riverqueue/river@v0.51.2", 3},
	{"github.com/riverqueue/river/riverdriver/riverdatabasesql@v0.51.2", 3},
	{"github.com/riverqueue/river/riverdriver/riverpgxv5@v0.51.2", 3},
	{"github.com/sqlc-dev/doubleclick@v1.0.0", 100}, // ClickHouse's tests: the parser takes what is not its own
	{"github.com/sqlc-dev/sqlc@v1.31.1", 3},
	{"github.com/wasilibs/go-pgquery@v0.0.0-20260728010200-155ebad2880e", 1},
}

func long() bool { return os.Getenv("AFTERCOMMIT_LONG") == "1" }

// TestRealSQL compares the lexer with the parser over SQL that others wrote:
// what the server's parser takes, the lexer must see as it does. Nothing of it
// is kept here; it comes from the module cache, where the go command puts it.
func TestRealSQL(t *testing.T) {
	var c comparison
	for _, m := range modules {
		dir, err := download(t, m.name)
		if err != nil {
			t.Skipf("%s is not to be had: %v", m.name, err)
		}
		share := m.share
		if long() {
			share = 1
		}
		c.take(t, m.name, dir, share)
	}
	c.compare(t)
	least := 3500
	if long() {
		least = 60000
	}
	if c.statements < least {
		t.Errorf("%d statements, want %d at least", c.statements, least)
	}
}

// TestScriptsOfTheServer is the same for the scripts that make its catalogs and
// extensions.
func TestScriptsOfTheServer(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "pg_config", "--sharedir").Output()
	if err != nil {
		t.Skipf("no scripts: pg_config: %v", err)
	}
	var c comparison
	c.take(t, "scripts", strings.TrimSpace(string(out)), 1)
	c.compare(t)
}

// download returns the folder of a module in the module cache.
func download(t *testing.T, name string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", name)
	cmd.Dir = t.TempDir() // no module's own requirements
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	out, err := cmd.Output()
	var m struct{ Dir, Error string }
	if jerr := json.Unmarshal(out, &m); jerr == nil && m.Dir != "" {
		return m.Dir, nil
	}
	return m.Error, err
}

// comparison collects what the parser says, and holds the lexer against it.
type comparison struct {
	seen       map[string]bool
	queries    []string
	want       [][]fact
	statements int
	wrapped    int // of these, within another, or that other
	refused    int
}

// take asks the parser about the SQL in a folder; of a text that it refuses as a
// whole, about the pieces.
func (c *comparison) take(t *testing.T, name, dir string, share uint32) {
	t.Helper()
	texts, err := sqlIn(filepath.Clean(dir))
	if err != nil {
		t.Fatal(err)
	}
	before, refused := c.statements, c.refused
	for _, text := range texts {
		h := fnv.New32a()
		_, _ = h.Write([]byte(text))
		if h.Sum32()%share != 0 || c.ask(t, text) {
			continue
		}
		if parts := pieces(text); len(parts) > 1 {
			for _, p := range parts {
				c.ask(t, p)
			}
		}
	}
	t.Logf("%s: %d statements; %d texts refused by the parser", name, c.statements-before, c.refused-refused)
}

// deepest and mostJoins are how many brackets in one another, and how many JOINs,
// may be in what the parser is asked. Its stack is small, and nothing can be asked
// any more after it has run out.
const (
	deepest   = 50
	mostJoins = 200
)

// ask reports whether the parser takes a text.
func (c *comparison) ask(t *testing.T, text string) bool {
	t.Helper()
	if c.seen[text] {
		return true
	}
	if c.seen == nil {
		c.seen = make(map[string]bool)
	}
	c.seen[text] = true
	if depth(text) > deepest || strings.Count(text, "JOIN") > mostJoins {
		c.refused++
		return false
	}
	facts, err := ask(text)
	switch {
	case errors.Is(err, errGivesUp):
		t.Fatalf("%v, of\n%.2000s", err, text)
	case err != nil:
		c.refused++
		return false
	}
	c.add(text, facts)
	c.wrap(text, facts)
	return true
}

// depth is how many brackets are open at most.
func depth(text string) int {
	open, most := 0, 0
	for _, r := range text {
		switch r {
		case '(', '[':
			open++
		case ')', ']':
			open--
		}
		most = max(most, open)
	}
	return most
}

func (c *comparison) add(text string, facts []fact) {
	c.queries = append(c.queries, text)
	c.want = append(c.want, facts)
	c.statements += len(facts)
}

// around are the places in which a statement may hold another.
var around = [][2]string{
	{"WITH zz AS (", "\n) SELECT 1"},
	{"WITH RECURSIVE za AS (SELECT 1), zz (a, b) AS MATERIALIZED (", "\n), zc AS (DELETE FROM zd) INSERT INTO ze SELECT 1 RETURNING 1"},
	{"WITH zz AS (SELECT 1) ", ""},
	{"EXPLAIN (ANALYZE, VERBOSE) ", ""},
	{"COPY (", "\n) TO STDOUT"},
	{"CREATE TABLE zz AS ", "\n WITH NO DATA; COMMIT"},
	{"BEGIN; ", "\n; ROLLBACK TO zz"},
}

// wrap puts a statement into one of the places, whichever its text says, and
// asks the parser about that.
func (c *comparison) wrap(text string, facts []fact) {
	if len(facts) != 1 {
		return
	}
	h := fnv.New32()
	_, _ = h.Write([]byte(text))
	if long() && h.Sum32()/256%4 != 0 {
		return // there is enough of it
	}
	place := around[h.Sum32()%uint32(len(around))]
	text = place[0] + strings.TrimRight(text, "; \t\n") + place[1]
	if facts, err := ask(text); err == nil {
		c.wrapped += len(facts)
		c.add(text, facts)
	}
}

// maxShown is how many disagreements are shown.
const maxShown = 20

func (c *comparison) compare(t *testing.T) {
	t.Helper()
	kinds := make(map[string]int)
	shown := 0
	for i, got := range askLexer(t, c.queries) {
		for _, d := range disagreements(got, c.want[i]) {
			kinds[d.kind]++
			if shown++; shown <= maxShown {
				t.Errorf("%s: the lexer says %s, the parser %s, of\n%.2000s", d.kind, d.got, d.want, c.queries[i])
			}
		}
	}
	t.Logf("%d statements in %d texts, %d of them made from others; disagreements: %v", c.statements, len(c.queries), c.wrapped, kinds)
}

type disagreement struct{ kind, got, want string }

// disagreements names the first field in which each statement differs.
func disagreements(got, want []fact) []disagreement {
	if len(got) != len(want) {
		return []disagreement{{"how many", show(got), show(want)}}
	}
	var all []disagreement
	for i, w := range want {
		g := got[i]
		if w.Kind != "write" && w.Tables == nil {
			g.Tables = nil // the parser is asked for the tables of some only
		}
		if w.On == nil {
			g.On = nil
		}
		if field := differs(g, w); field != "" {
			all = append(all, disagreement{field, show(g), show(w)})
		}
	}
	return all
}

func differs(a, b fact) string {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		if !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			return x.Type().Field(i).Name
		}
	}
	return ""
}

func show(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
