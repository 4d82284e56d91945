package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/coverage"
)

// TestCoverageLoosensNothing: each command that a finding suggests, also for a list that names less than the database has, keeps the key, the
// masks, hashes and exclusions, and the capture of whole statements that are there.
func TestCoverageLoosensNothing(t *testing.T) {
	w := newWorld(t)
	w.exec(w.db, `CREATE TABLE "Full" (id int PRIMARY KEY, code text NOT NULL UNIQUE, card text, number text, pin text, mail text, v text)`)
	file := filepath.Join(t.TempDir(), "tables.json")
	list := `{"tables": [{"name": "orders"}, {"name": "\"Full\"", "mask": ["v"], "bulk": true}], "exclude": ["customers"]}`
	if err := os.WriteFile(file, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	const full = `"Full":key=code:mask=card:hash=number:exclude=pin:bulk`
	state := func() string { // what the table's capture keeps
		var r coverage.Report
		if err := json.Unmarshal([]byte(run(t, "coverage", "--json").out), &r); err != nil {
			t.Fatal(err)
		}
		for _, table := range r.Tables {
			if table.Name == `public."Full"` {
				text := strings.Join(table.Key, ",")
				for _, c := range table.Columns {
					text += " " + c.Name + "=" + string(c.Deployed)
				}
				return text
			}
		}
		return ""
	}
	command := regexp.MustCompile(`threadline triggers apply ('[^']+'|\S+) --execute`)
	for name, args := range map[string][]string{"without a list": {"coverage"}, "with a list": {"coverage", "--file", file}} {
		t.Run(name, func(t *testing.T) {
			w.want(exitOK, "triggers", "apply", full, "--execute")
			w.exec(w.db, `ALTER TABLE "Full" ADD COLUMN IF NOT EXISTS note text`, `ALTER TABLE "Full" DISABLE TRIGGER ALL`)
			commands := 0
			for _, f := range decode[coverage.Report](w, exitFinding, args...).Findings {
				if f.Table != `public."Full"` || strings.HasPrefix(f.Fix, "correct the list") {
					continue
				}
				m := command.FindStringSubmatch(f.Fix)
				if m == nil {
					t.Errorf("%s: no command", f)
					continue
				}
				commands++
				w.want(exitOK, "triggers", "apply", full, "--execute") // as it was
				w.want(exitOK, "triggers", "apply", strings.Trim(m[1], "'"), "--execute")
				got := state()
				for _, want := range []string{"code ", " card=masked", " number=hashed", " pin=excluded"} {
					if !strings.Contains(" "+got, want) {
						t.Errorf("%s: then it is %s, without %s", f, got, want)
					}
				}
				var bulk bool
				err := w.db.QueryRowContext(ctx, `SELECT count(*) > 0 FROM pg_trigger WHERE tgrelid = '"Full"'::regclass AND tgname LIKE 'threadline_bulk%'`).Scan(&bulk)
				if err != nil || !bulk {
					t.Errorf("%s: then its statements are not captured as a whole", f)
				}
			}
			if commands < 2 {
				t.Errorf("%d commands", commands)
			}
		})
	}
}
