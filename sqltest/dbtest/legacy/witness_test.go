package legacy_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// change is a number of rows that a transaction changed in a table by one
// operation: inserted, updated or deleted.
type change struct {
	tx        int64
	table, op string
}

// watch makes the database itself take down what commits, by triggers of which
// neither the app nor the audit trail knows. A row is stated if the statement
// that the app sent names its table as the one to write; others come of foreign
// keys, and capture does not see them.
const watch = `
CREATE SCHEMA witness;
CREATE TABLE witness.changes (tx bigint NOT NULL, name text NOT NULL, op text NOT NULL, stated boolean NOT NULL);
CREATE FUNCTION witness.see() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	INSERT INTO witness.changes VALUES (pg_current_xact_id()::text::bigint, TG_TABLE_NAME, rtrim(lower(TG_OP), 'e') || 'ed',
		current_query() ~* format('\m(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+%s\M', TG_TABLE_NAME));
	RETURN NULL;
END $$;
DO $$
DECLARE name name;
BEGIN
	FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
		EXECUTE format('CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION witness.see()', name);
	END LOOP;
END $$`

// seen returns what the witness has seen committed.
func seen(t *testing.T, db *sql.DB, stated bool) map[change]int {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT tx, name, op, count(*) FROM witness.changes WHERE stated = $1 GROUP BY 1, 2, 3", stated)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[change]int{}
	for rows.Next() {
		var c change
		var n int
		if err := rows.Scan(&c.tx, &c.table, &c.op, &n); err != nil {
			t.Fatal(err)
		}
		found[c] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// told returns what the timeline tells of rows. The number is -1 where it does
// not know.
func told(actions []threadline.Action) map[change]int {
	found := map[change]int{}
	for _, a := range actions {
		if a.Target.Type == "schema" {
			continue
		}
		c := change{tx: a.Tx.ID, table: a.Target.Type, op: a.Verb()}
		n := rowsOf(a)
		if n < 0 || found[c] < 0 {
			found[c] = -1
			continue
		}
		found[c] += n
	}
	return found
}

// rowsOf is how many rows an action says it changed, -1 if it does not say.
func rowsOf(a threadline.Action) int {
	n, ok := a.Metadata["rows"].(json.Number)
	if !ok {
		return -1
	}
	i, err := n.Int64()
	if err != nil {
		return -1
	}
	return int(i)
}

// disagreements are those between the rows of the app and its timeline. An
// upsert may have inserted or updated.
func disagreements(seen, told map[change]int) []string {
	left := maps.Clone(seen)
	var found []string
	for c, n := range told {
		have := left[c]
		if c.op == "upserted" {
			ins, upd := change{c.tx, c.table, "inserted"}, change{c.tx, c.table, "updated"}
			have = left[ins] + left[upd]
			delete(left, ins)
			delete(left, upd)
		}
		delete(left, c)
		if have != n && n >= 0 || have == 0 {
			found = append(found, fmt.Sprintf("transaction %d: %s.%s: %d rows in the timeline, %d in the database", c.tx, c.table, c.op, n, have))
		}
	}
	for c, n := range left {
		found = append(found, fmt.Sprintf("transaction %d: %s.%s: %d rows in the database, none in the timeline", c.tx, c.table, c.op, n))
	}
	slices.Sort(found)
	return found
}

// timeline returns the actions after an entry of the journal, oldest first.
func timeline(t *testing.T, db *sql.DB, dialect hooks.Dialect, after journal.Position) []threadline.Action {
	t.Helper()
	var actions []threadline.Action
	for a, err := range threadline.NewStore(db, dialect, nil).Each(t.Context(), threadline.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if a.Compare(after) > 0 {
			actions = append(actions, a)
		}
	}
	slices.SortFunc(actions, func(a, b threadline.Action) int { return a.Compare(b.Position) })
	return actions
}

// drained waits until the timeline has all of the journal, and at least n
// actions after an entry: an app may answer before it has written.
func drained(t *testing.T, db *sql.DB, after journal.Position, n int) []threadline.Action {
	t.Helper()
	await(t, fmt.Sprintf("%d actions after entry %s", n, after.Text()), func(ctx context.Context) bool {
		var left, have int
		err := db.QueryRowContext(ctx, `
			SELECT count(*) FILTER (WHERE a.id IS NULL), count(*) FILTER (WHERE (e.key, e.ordinal) > ($1, $2))
			FROM aftercommit.audit_events e LEFT JOIN threadline.audit_actions a USING (id)`, after.Key, after.Ordinal).Scan(&left, &have)
		if err != nil {
			t.Fatal(err)
		}
		return left == 0 && have >= n
	})
	return timeline(t, db, hooks.Postgres, after)
}

// names are those of the actions, with the key where one is known.
func names(actions []threadline.Action) []string {
	var found []string
	for _, a := range actions {
		found = append(found, strings.TrimSuffix(a.Action+" "+a.Target.ID, " "))
	}
	return found
}

// attributed are the names with the actors, as "feeds.deleted 1 by user:2".
func attributed(actions []threadline.Action) []string {
	found := names(actions)
	for i := range found {
		found[i] += " by " + actions[i].ActorRef()
	}
	return found
}

// beginning is before all entries.
var beginning = journal.Position{Ordinal: -1}

// lastOf is the position of the last action, or beginning if there is none.
func lastOf(actions []threadline.Action) journal.Position {
	if len(actions) == 0 {
		return beginning
	}
	return actions[len(actions)-1].Position
}
