package changes_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestRowAsOfOften: rows that are changed very often, inserted again, and changed again by triggers, are at any time what they were, after
// each of their changes, too.
func TestRowAsOfOften(t *testing.T) {
	with(t, func(w *world) {
		r := rand.New(rand.NewPCG(dbtest.Seed(t), 2))
		w.db.SetMaxOpenConns(1)
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b int, c text, d text, card text)", "INSERT INTO t VALUES (1, 0, 0, 'c1', 'd', 'x'), (2, 0, 0, 'c2', 'd', 'x'), (3, 0, 0, 'c3', 'd', 'x')",
			"CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.a % 7 = 0 AND NEW.b < 1000 THEN UPDATE t SET b = b + 1000 WHERE id = NEW.id; END IF; RETURN NULL; END $$",
			"CREATE TRIGGER a_first AFTER UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION again()")
		w.capture(capture.Table{Name: "t", Mask: []string{"card"}})
		type moment struct {
			at   time.Time
			rows map[string]string
		}
		const list = "concat('id: ', id, '; a: ', a, '; b: ', b, '; c: ', c, '; d: ', d)"
		note := func() moment {
			m := moment{rows: make(map[string]string)}
			for _, line := range strings.Split(w.text("SELECT string_agg("+list+", '|') FROM t"), "|") {
				m.rows[strings.TrimSuffix(strings.Fields(line)[1], ";")] = line
			}
			m.at = w.clock()
			return m
		}
		moments := []moment{note()}
		for n := range 250 {
			id := 1 + r.IntN(2) // row 3 is hardly ever changed
			switch r.IntN(60) {
			case 0:
				w.exec(fmt.Sprintf("DELETE FROM t WHERE id = %d", id))
			case 1:
				w.exec(fmt.Sprintf("INSERT INTO t VALUES (%d, 0, 0, 'again', 'd', 'x') ON CONFLICT DO NOTHING", id))
			case 2:
				w.exec(fmt.Sprintf("BEGIN; UPDATE t SET a = a + 1 WHERE id = %[1]d; SAVEPOINT s; UPDATE t SET c = 'no' WHERE id = %[1]d; ROLLBACK TO s; UPDATE t SET c = 'c%[2]d' WHERE id = %[1]d; COMMIT", id, n))
			case 3:
				w.exec(fmt.Sprintf("DO $$ BEGIN FOR n IN 1..%d LOOP UPDATE t SET b = b + 1 WHERE id = %d; END LOOP; END $$", 20+r.IntN(60), id))
			case 4:
				w.exec("UPDATE t SET d = 'd' || a, card = 'y' || a")
			default:
				w.exec(fmt.Sprintf("UPDATE t SET a = a + 1, b = %d WHERE id = %d", n, id))
			}
			if r.IntN(10) == 0 {
				moments = append(moments, note())
			}
		}
		for _, m := range moments {
			for _, id := range []string{"1", "2", "3"} {
				row, err := w.store.RowAsOf(ctx, "t", m.at, id)
				var why *changes.AsOfError
				if errors.As(err, &why) {
					if m.rows[id] != "" {
						t.Errorf("row %s at %s: %v, want %s", id, m.at, err, m.rows[id])
					}
					continue
				}
				w.must(err)
				if got := row.String(); got != fmt.Sprintf(`"public"."t" (%s): %s; card: (masked)`, id, m.rows[id]) {
					t.Errorf("row %s at %s: %s, want %s", id, m.at, got, m.rows[id])
				}
			}
		}
		// Each change leaves what the next one finds.
		for _, id := range []string{"1", "2"} {
			history, err := w.store.History(ctx, "t", id)
			w.must(err)
			for i := 1; i < len(history); i += 1 + r.IntN(40) {
				before, c := history[i-1], history[i]
				row, err := w.store.RowAfter(ctx, before)
				if gone := errors.Is(err, changes.ErrGone); gone != (before.Op == changes.Delete) {
					t.Errorf("after %v: %v", before, err)
				} else if gone {
					continue
				}
				w.must(err)
				for _, v := range row.Values {
					for _, f := range c.Fields {
						if f.Name == v.Name && c.Op != changes.Insert && f.Old.String() != v.Value.String() {
							t.Errorf("after change %d of row %s %s is %s, and then changed from %s", i-1, id, v.Name, v, f.Old)
						}
					}
				}
			}
		}
	}, dbtest.PQ)
}

// TestRowAsOfReadsFew: of a row with very many changes those around the moment are read.
func TestRowAsOfReadsFew(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 0, 'x'), (2, 0, 'x'), (3, 0, 'x')", "UPDATE t SET a = 1",
			"UPDATE threadline.audit_changes SET captured_at = captured_at - interval '1 day'", "UPDATE threadline.audit_captures SET noted_at = noted_at - interval '1 day'")
		made := func(id, from, to int) {
			w.exec(fmt.Sprintf(`INSERT INTO threadline.audit_changes (xid, tx_started_at, captured_at, lsn, table_id, shape_id, depth, op, old_tid, new_tid, key, changed, old_row, new_row, system)
				SELECT (1000000 + n)::text::xid8, c.captured_at + n * interval '1 s', c.captured_at + n * interval '1 s', c.lsn + n, c.table_id, c.shape_id, 1, 'U', '(0,1)', '(0,2)', '(%[1]d)', '2 ', concat('(,', n, ',)'), concat('(,', n + 1, ',)'), c.system
				FROM generate_series(%[2]d, %[3]d) n, (SELECT captured_at, lsn, table_id, shape_id, (SELECT max(system) FROM threadline.audit_changes) AS system FROM threadline.audit_changes WHERE op = 'U' AND key = '(%[1]d)' ORDER BY lsn LIMIT 1) c`, id, from, to))
		}
		const all = 3000
		made(1, 1, all)
		w.exec(fmt.Sprintf("UPDATE t SET a = %d WHERE id = 1", all+1), "ANALYZE threadline.audit_changes")
		began, err := time.Parse(time.RFC3339Nano, w.text("SELECT to_json(min(captured_at)) #>> '{}' FROM threadline.audit_changes WHERE op = 'U'"))
		w.must(err)
		for _, c := range []struct {
			name string
			nth  int // the last change by then
			most int
		}{
			{"soon after the beginning", 20, all + 300}, // the server looks for the last one by then
			{"nearly at the end", all - 20, 400},
			{"at the end", all, 400},
		} {
			at := began.Add(time.Duration(c.nth)*time.Second + time.Second/2)
			want := fmt.Sprintf(`"public"."t" (1): id: 1; a: %d; b: x`, c.nth+1)
			_, fetched := w.readsIn(func(s *changes.Store) error {
				row, failed := s.RowAsOf(ctx, "t", at, "1")
				if failed == nil && row.String() != want {
					t.Errorf("%s: %s, want %s", c.name, row, want)
				}
				return failed
			})
			if t.Logf("%s: %d", c.name, fetched); fetched > c.most {
				t.Errorf("%s: %d changes are read, want at most %d", c.name, fetched, c.most)
			}
		}
		history, err := w.store.History(ctx, "t", "1")
		w.must(err)
		for _, nth := range []int{30, all - 30} {
			_, fetched := w.readsIn(func(s *changes.Store) error {
				row, err := s.RowAfter(ctx, history[nth])
				if err == nil && row.Values[1].String() != fmt.Sprint(nth) {
					t.Errorf("after change %d: %s", nth, row)
				}
				return err
			})
			if t.Logf("after change %d: %d", nth, fetched); fetched > 400 {
				t.Errorf("after change %d: %d changes are read", nth, fetched)
			}
		}
	}, dbtest.PQ)
}

// TestRowAsOfWithin: a transaction of which only a part would be among the changes that are read first.
func TestRowAsOfWithin(t *testing.T) {
	with(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, c int)",
			"CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.a = 1 THEN UPDATE t SET a = 2 WHERE id = NEW.id; END IF; RETURN NULL; END $$",
			"CREATE TRIGGER a_first AFTER UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION again()")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 0, 0), (2, 0, 0), (3, 0, 0)")
		for id, later := range []int{1: 62, 2: 63, 3: 64} {
			if later == 0 {
				continue
			}
			w.exec("UPDATE t SET c = -1", fmt.Sprintf("UPDATE t SET a = 1 WHERE id = %d", id)) // the change to 2 is before that to 1 in the WAL
			for n := range later {
				w.exec(fmt.Sprintf("UPDATE t SET c = %d WHERE id = %d", n, id))
			}
			if got, want := w.asOf("t", w.clock(), fmt.Sprint(id)), fmt.Sprintf(`"public"."t" (%d): id: %[1]d; a: 2; c: %d`, id, later-1); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		w.exec("INSERT INTO t VALUES (4, 0, 0)", "DO $$ BEGIN FOR n IN 1..100 LOOP UPDATE t SET c = n WHERE id = 4; END LOOP; END $$", "UPDATE t SET a = 5 WHERE id = 4")
		history, err := w.store.History(ctx, "t", "4")
		w.must(err)
		for _, n := range []int{0, 1, 30, 63, 64, 80, 84, 85, 100} {
			want := fmt.Sprintf(`"public"."t" (4): id: 4; a: 0; c: %d`, n)
			row, err := w.store.RowAfter(ctx, history[n])
			w.must(err)
			if got := row.String(); got != want {
				t.Errorf("after its change: %s, want %s", got, want)
			}
			if got := w.asOf("t", history[n].CapturedAt, "4"); got != want {
				t.Errorf("at the time of its change: %s, want %s", got, want)
			}
		}
	}, dbtest.PQ)
}

// TestRowAsOfClockSetBack: the time of a break is compared with the moment that was asked for, and not with that of a change that the clock
// says was later.
func TestRowAsOfClockSetBack(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b int)", "INSERT INTO t VALUES (1, 0, 0)")
		w.capture(capture.Table{Name: "t"})
		w.exec("DO $$ BEGIN FOR n IN 1..100 LOOP UPDATE t SET a = n; COMMIT; END LOOP; END $$", "ALTER TABLE t DISABLE TRIGGER threadline_row", "UPDATE t SET b = 1", "ALTER TABLE t ENABLE TRIGGER threadline_row",
			"INSERT INTO threadline.audit_gaps (table_id, op, reason) SELECT table_id, 'UPDATE', 'lost' FROM threadline.audit_changes LIMIT 1",
			"UPDATE threadline.audit_changes SET captured_at = captured_at + interval '1 hour' WHERE new_row <> '(,100,)'") // and then the clock was set back
		moment, err := time.Parse(time.RFC3339Nano, w.text("SELECT to_json(captured_at) #>> '{}' FROM threadline.audit_changes WHERE new_row = '(,100,)'"))
		w.must(err)
		if got := w.asOf("t", moment, "1"); got != changes.ErrBroken.Error() {
			t.Errorf("across a gap: %s", got)
		}
	})
}

// TestRowAsOfInTheMiddle: of a row of which each change has all columns but the key's, two at a moment say all of it.
func TestRowAsOfInTheMiddle(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id text, part int, a int, PRIMARY KEY (part, id))", `INSERT INTO t VALUES (E'a\\ "b,(', 7, 0)`)
		w.capture(capture.Table{Name: "t"})
		w.exec("DO $$ BEGIN FOR n IN 1..2500 LOOP UPDATE t SET a = n; COMMIT; END LOOP; END $$", "ANALYZE threadline.audit_changes")
		history, err := w.store.History(ctx, "t", "7", `a\ "b,(`)
		w.must(err)
		for _, nth := range []int{1200, 1300} {
			want := fmt.Sprintf(`id: a\ "b,(; part: 7; a: %d`, nth+1)
			for what, ask := range map[string]func(s *changes.Store) (*changes.Row, error){
				"RowAfter": func(s *changes.Store) (*changes.Row, error) { return s.RowAfter(ctx, history[nth]) },
				"RowAsOf": func(s *changes.Store) (*changes.Row, error) {
					return s.RowAsOf(ctx, "t", history[nth].CapturedAt, "7", `a\ "b,(`)
				},
			} {
				_, fetched := w.readsIn(func(s *changes.Store) error {
					row, err := ask(s)
					if err == nil && !strings.HasSuffix(row.String(), want) {
						t.Errorf("%s: %s, want %s", what, row, want)
					}
					return err
				})
				if most := map[string]int{"RowAfter": 400, "RowAsOf": 2500 + 400}[what]; fetched > most { // the server looks for the last one by then
					t.Errorf("%s reads %d changes", what, fetched)
				}
			}
		}
	})
}
