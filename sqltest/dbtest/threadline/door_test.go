package threadline_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// refused are fields of an entry that a role which may execute record can give to it,
// and that it has to refuse.
var refused = map[string]string{
	`"id": null`: "22023", `"id": "x"`: "22P02",
	`"name": null`: "22023", `"name": "Order.placed"`: "22023", `"name": "a.` + strings.Repeat("b", 254) + `"`: "22023",
	`"outcome": null`: "22023", `"outcome": "perhaps"`: "22023",
	`"occurred_at": null`: "22023", `"occurred_at": "infinity"`: "22023", `"occurred_at": "20000-01-01"`: "22023",
	`"recorded_at": null`: "22023", `"recorded_at": "infinity"`: "22023", `"recorded_at": "-infinity"`: "22023", `"recorded_at": "0044-03-15 BC"`: "22023",
	`"tx_started_at": "infinity"`: "22023", `"tx_id": "18446744073709551615"`: "22003", `"seq": "x"`: "22P02",
	`"target_id": "` + strings.Repeat("x", 1025) + `"`:                      "22023",
	`"role": "` + strings.Repeat("x", 1025) + `"`:                           "22023",
	`"actor_type": "user", "actor_id": "` + strings.Repeat("x", 9000) + `"`: "22023",
	`"comment": "` + strings.Repeat("x", 32769) + `"`:                       "22023",
	`"metadata": [1]`:             "22023",
	`"metadata": "x"`:             "22023",
	`"metadata": {"n": 1e999999}`: "22003",
	`"metadata": {"n": 1e100000}`: "22023",
	`"metadata": ` + strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101): "22023",
}

func TestDoor(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		for fields, state := range refused {
			doc := fmt.Sprintf(`[{"id": "%s", "name": "order.placed", "outcome": "success", "occurred_at": "2026-01-01", "recorded_at": "2026-01-01", %s}]`, uuid.New(), fields)
			_, err := db.ExecContext(context.Background(), "SELECT threadline.record('"+doc+"')")
			if hooks.SQLState(err) != state {
				t.Errorf("%.80s: %.200v; want SQLSTATE %s", fields, err, state)
			}
		}
		if got := timeline(t, s, threadline.Query{}).Actions; len(got) != 0 {
			t.Errorf("%d actions were written", len(got))
		}
	}, dbtest.PostgresEngines()...)
}

// older makes the function one of a version without gone, a function that a later version
// has brought.
func older(t *testing.T, s *threadline.Store, gone string, exec func(string)) {
	t.Helper()
	exec("DROP FUNCTION threadline." + gone)
	exec("CREATE OR REPLACE FUNCTION threadline.record(doc json) RETURNS integer LANGUAGE sql AS 'SELECT 1'")
	if err := s.Check(context.Background()); err != nil {
		t.Errorf("with an older function: %v", err)
	}
}

// The owner replaces an older function; another role leaves it, and is not refused
// for it.
func TestOlderFunction(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, gone := range []string{"refuse, threadline.add", "add"} {
			t.Run("without "+gone, func(t *testing.T) { olderFunction(t, e, gone) })
		}
	}, dbtest.PostgresEngines()...)
}

func olderFunction(t *testing.T, e dbtest.Engine, gone string) {
	t.Helper()
	s, db := migrated(t, e)
	db.SetMaxOpenConns(1)
	role := `"` + dbtest.Name("reader") + `"`
	exec(t, db, "CREATE ROLE "+role+"; GRANT USAGE ON SCHEMA threadline TO "+role)
	t.Cleanup(func() { exec(t, db, "RESET ROLE; DROP OWNED BY "+role+"; DROP ROLE "+role) })
	older(t, s, gone, func(query string) { exec(t, db, query) })
	has := func() (n int) {
		scan(t, db, "SELECT count(*) FROM pg_proc WHERE proname = 'add' AND pronamespace = 'threadline'::regnamespace", &n)
		return n
	}
	exec(t, db, "SET ROLE "+role)
	if err := s.Migrate(context.Background()); err != nil || has() != 0 {
		t.Errorf("as another role: %v, %d", err, has())
	}
	exec(t, db, "RESET ROLE")
	if err := s.Migrate(context.Background()); err != nil || has() != 1 {
		t.Errorf("as the owner: %v, %d", err, has())
	}
	record(t, s, entry(1))
	if got := timeline(t, s, threadline.Query{}).Actions; len(got) != 1 {
		t.Errorf("%d actions, want 1", len(got))
	}
}

// A journal on a server that is not UTF-8 writes what that lacks longer than it was:
// a timeline elsewhere takes it.
func TestDoorLetsInWhatAJournalWrote(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		long := entry(1)
		long.Comment = strings.Repeat("<U+0142>", hooks.MaxMetadata/2)
		long.Metadata = map[string]any{"text": long.Comment}
		record(t, s, long)
		if got := timeline(t, s, threadline.Query{}).Actions; len(got) != 1 || got[0].Comment != long.Comment {
			t.Errorf("%d actions, want what was recorded", len(got))
		}
	}, dbtest.PostgresEngines()...)
}

// The timeline takes each text that can be read from the journal, in any encoding, although its
// indexes have no place for long ones.
func TestDoorsAgree(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, encoding := range []string{"UTF8", "LATIN1", "EUC_JP"} {
			t.Run(encoding, func(t *testing.T) { doorsAgree(t, dbtest.Open(t, e.Driver, dbtest.Shared(t).Encoded(t, encoding))) })
		}
	}, dbtest.PostgresEngines()...)
}

func doorsAgree(t *testing.T, db *sql.DB) {
	t.Helper()
	schema, err := journal.Schema(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, db, schema)
	exec(t, db, threadline.Schema(hooks.Postgres, nil))
	random := make([]byte, 4096/2)
	_, _ = rand.Read(random)
	taken := 0
	doors := func(id, field, text string) {
		rest := fmt.Sprintf(`"outcome": "success", "occurred_at": "2026-01-01", "captured": true, "id": "%s", "actor_type": "user", "target_type": "order", "%s": "%s"}]`, id, field, text)
		_, err := db.ExecContext(context.Background(), `SELECT threadline.record('[{"name": "order.placed", "recorded_at": "2026-01-01", `+rest+`')`)
		group, member, _ := strings.Cut(field, "_")
		own := fmt.Sprintf(`"%s": "%s"`, field, text)
		if member == "id" && (group == "actor" || group == "target") {
			own = fmt.Sprintf(`"%s": {"type": "user", "id": "%s"}`, group, text)
		}
		row := journal.Row{Format: 1, Events: 1, Document: []byte(fmt.Sprintf(`[{"action": "order.placed", "outcome": "success", "occurred_at": "2026-01-01T00:00:00Z", "captured": true, "id": "%s", %s}]`, id, own))}
		unreadable := row.Entries()[0].Unreadable
		if unreadable == "" {
			taken++
		}
		if unreadable == "" && err != nil {
			t.Errorf("%s of %d bytes, ID %s: the journal has it, the timeline: %v", field, len(text), id, err)
		}
	}
	for _, field := range []string{"actor_id", "target_id", "tenant_id", "correlation_id", "request_id"} {
		for _, n := range []int{1024, 2048, 2600, 3000, 4096} {
			doors(uuid.NewString(), field, hex.EncodeToString(random)[:n])
		}
	}
	doors(uuid.Nil.String(), "tenant_id", "t")
	if taken < 5 {
		t.Errorf("the journal takes %d events", taken)
	}
}
