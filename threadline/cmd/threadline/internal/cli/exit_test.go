package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sinkName, noEvent = "cli.sink/default", "01994c5e-8f2b-7c55-b8a0-2f7d1c3e9a10"

// exitCodes are commands with the codes that they exit with, and a part of what they say. FILE is one that is there.
var exitCodes = []struct {
	args string
	code int
	want string
}{
	// A table that is not there.
	{"history ordres 42", exitFinding, "did you mean orders?"},
	{"as-of ordres 42 --at now", exitFinding, "did you mean orders?"},
	{"as-of ordres --at now", exitFinding, "did you mean orders?"},
	{"undo row ordres 42 --to 1h", exitFinding, "did you mean orders?"},
	{"triggers plan ordres", exitFinding, "did you mean orders?"},
	{"triggers diff ordres", exitFinding, "did you mean orders?"},
	{"triggers apply ordres", exitFinding, "did you mean orders?"},
	{"triggers apply ordres --execute", exitFinding, "did you mean orders?"},
	{"triggers drop ordres", exitFinding, "did you mean orders?"},
	{"triggers drop ordres --execute", exitFinding, "did you mean orders?"},
	{"coverage ordres", exitFinding, ""},
	{"policy ordres", exitFinding, ""},
	{"search table:ordres", exitFinding, "table:ordres\n^^^^"},
	{"export table:ordres", exitFinding, "table:ordres\n^^^^"},
	{"diff ordres 42 --from 1h", exitFinding, "did you mean orders?"},
	{"diff orders 42 --from 2099-01-01", exitUsage, "is in the future"},
	// One that is there, and was never captured.
	{"history loose 1", exitFinding, "threadline triggers apply"},
	{"as-of loose 1 --at now", exitFinding, "threadline triggers apply"},
	{"undo row loose 1 --to 1h", exitFinding, "threadline triggers apply"},
	{"triggers drop loose", exitFinding, "never captured"},
	{"triggers drop loose --execute", exitFinding, "never captured"},
	// A key without a history.
	{"history orders 7", exitFinding, ""},
	{"history orders 7 --json", exitFinding, ""},
	{"as-of orders 7 --at now", exitFinding, ""},
	{"undo row orders 7 --to 1h", exitFinding, "no such change"},
	// A key that no row can have, or that has another number of columns.
	{"history orders x", exitUsage, "no value of that"},
	{"history orders 42 1", exitUsage, "has 1 column, not 2: id"},
	{"as-of orders 42 1 --at now", exitUsage, "has 1 column, not 2: id"},
	{"diff orders 42 1 --from 1h", exitUsage, "has 1 column, not 2: id"},
	{"undo row orders 42 1 --to 1h", exitUsage, "has 1 column, not 2: id"},
	// A column that is not there.
	{"triggers plan orders:mask=crad", exitUsage, `did you mean "card"?`},
	{"triggers apply orders:mask=crad --execute", exitUsage, `did you mean "card"?`},
	{"triggers apply orders:key=idd", exitUsage, `did you mean "id"?`},
	{"triggers diff orders:exclude=crad", exitUsage, `did you mean "card"?`},
	// A word that begins with a hyphen is no flag.
	{"search actor:bob -op:delete", exitUsage, "threadline search -- -op:delete"},
	{"tail -f -op:delete", exitUsage, "threadline tail -- -op:delete"},
	{"incident -actor:bob", exitUsage, "threadline incident -- -actor:bob"},
	{"incident -op:delete", exitUsage, "threadline incident -- -op:delete"}, // and no file with such a name
	{"export -op:delete", exitUsage, "threadline export -- -op:delete"},
	// A transaction, an event, a forwarder that is not there.
	{"show 9@2026-01-01T00:00:00Z", exitFinding, "neither the timeline nor"},
	{"undo transaction 9@2026-01-01T00:00:00Z", exitFinding, "no such change"},
	{"show " + noEvent, exitFinding, "has no event"},
	{"forwarders replay " + sinkName + " --id " + noEvent, exitFinding, "no entry has the ID"},
	{"forwarders replay cli.snik/default --from 1h", exitFinding, `did you mean "cli.sink/default"?`},
	{"forwarders replay cli.snik/default --from 1h --execute", exitFinding, "forwarders status"},
	{"forwarders resume cli.snik/default", exitFinding, "forwarders status"},
	{"forwarders resume cli.snik/default --execute", exitFinding, "forwarders status"},
	{"forwarders retire cli.snik/default", exitFinding, "forwarders status"},
	{"forwarders retire cli.snik/default --execute", exitFinding, "forwarders status"},
	{"forwarders dead-letters cli.snik/default", exitFinding, "forwarders status"},
	// A time in the future, where something is to be known of it.
	{"as-of orders 42 --at 2099-01-01", exitUsage, "is in the future"},
	{"undo row orders 42 --to 2099-01-01", exitUsage, "is in the future"},
	{"coverage --since 2099-01-01", exitUsage, "is in the future"},
	{"forwarders replay " + sinkName + " --from 2099-01-01", exitUsage, "is in the future"},
	// Flags that do not fit.
	{"forwarders replay " + sinkName, exitUsage, "--dead-letters"},
	{"forwarders replay " + sinkName + " --from 1h --to 2h", exitUsage, "swap them"},
	{"search after:1h before:2h", exitUsage, "swap them"},
	{"search --cursor xyz", exitUsage, "start again without it"},
	// Files.
	{"triggers plan --file /no/such/file", exitUsage, "no such file"},
	{"coverage --file FILE", exitUsage, "it is to be"},
	{"incident actor:bob --out FILE", exitUsage, "file exists"},
	{"export --out FILE", exitUsage, "--out"},
	{"export verify /no/such/dir", exitUsage, "no directory"},
}

// TestExitCodes: 2 is for a wrong command line alone, 1 for what it names and is not there, 3 for a database that cannot answer.
func TestExitCodes(t *testing.T) {
	w := newWorld(t)
	w.exec(w.db, "CREATE TABLE loose (id int PRIMARY KEY)")
	there := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(there, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range exitCodes {
		r := run(t, strings.Fields(strings.ReplaceAll(c.args, "FILE", there))...)
		if r.code != c.code || !strings.Contains(r.err, c.want) || c.code != exitFinding && r.out != "" {
			t.Errorf("threadline %s: %d, want %d and %q\n%s\n%s", c.args, r.code, c.code, c.want, r.out, r.err)
		}
		if name := identifier.FindString(r.err); name != "" {
			t.Errorf("threadline %s says %q: %s", c.args, name, r.err)
		}
		if strings.Contains(r.err, "--help") != (c.code == exitUsage) {
			t.Errorf("threadline %s: %s", c.args, r.err)
		}
	}
}
