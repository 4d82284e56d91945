// Package export_test exports from real databases.
package export_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/export"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

func TestMain(m *testing.M) {
	if order := os.Getenv(childVariable); order != "" {
		child(order)
		return
	}
	dbtest.Main(m)
}

var ctx = context.Background()

// world is a shop whose orders are captured, their cards masked, and its audited database.
type world struct {
	*testing.T
	e      dbtest.Engine
	dsn    string
	db     *sql.DB
	reader *trail.Reader
	last   int // order
}

// both runs f on PostgreSQL and on SQLite.
func both(t *testing.T, f func(w *world)) {
	t.Helper()
	on(t, f, dbtest.PQ, dbtest.SQLite)
}

func on(t *testing.T, f func(w *world), engines ...dbtest.Engine) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := &world{T: t, e: e, dsn: e.DSN(t)}
		bare := dbtest.Open(t, e.Driver, w.dsn)
		w.reader = readerOf(bare, e.Dialect)
		_, err := bare.ExecContext(ctx, "CREATE TABLE orders (id int PRIMARY KEY, status text, note text, card text)")
		w.must(err)
		installer := capture.NewInstaller(bare, e.Dialect, nil)
		w.must(installer.Migrate(ctx))
		plan, err := installer.Plan(ctx, capture.Table{Name: "orders", Mask: []string{"card"}})
		w.must(err)
		w.must(installer.Apply(ctx, plan))
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayElsewhere})
		hub.Register(threadline.NewForwarder(nil), forward.Sync)
		name := dbtest.Name(e.Driver)
		e.Register(name, hub, driver.Capture(driver.AllTables()))
		w.db = dbtest.Open(t, name, w.dsn)
		w.must(w.db.PingContext(ctx)) // which makes the timeline's tables
		f(w)
	}, engines...)
}

func readerOf(db *sql.DB, dialect hooks.Dialect) *trail.Reader {
	return trail.NewReader(threadline.NewStore(db, dialect, nil), changes.NewStore(db, dialect, nil))
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) asAlice(queries ...string) {
	w.Helper()
	for _, q := range queries {
		if _, err := w.db.ExecContext(hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: "alice"}), q); err != nil {
			w.Fatalf("%s: %v", q, err)
		}
	}
}

const secret = "4111-1111"

// sells makes transactions: each inserts an order with a note, and records why.
func (w *world) sells(notes ...string) {
	w.Helper()
	for _, note := range notes {
		w.last++
		by := hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: "alice", Name: note})
		tx, err := w.db.BeginTx(by, nil)
		w.must(err)
		_, err = tx.ExecContext(by, fmt.Sprintf("INSERT INTO orders VALUES (%d, 'new', '%s', '%s')", w.last, strings.ReplaceAll(note, "'", "''"), secret))
		w.must(err)
		w.must(hooks.Record(by, tx, hooks.Event{
			Action: "order.placed", Target: hooks.Target{Type: "order", ID: fmt.Sprint(w.last)}, Reason: note, CorrelationID: "c-7", TenantID: "acme",
			Metadata: map[string]any{"note": note, "total": json.Number("12.50")},
		}))
		w.must(tx.Commit())
	}
}

func (w *world) sellsMany(n int) {
	w.Helper()
	for range n {
		w.sells("as asked")
	}
}

// items are those of the query's own pages, each as JSON.
func (w *world) items(q trail.Query) (list []string) {
	w.Helper()
	for item, err := range w.reader.Each(ctx, q) {
		w.must(err)
		list = append(list, w.json(item))
	}
	return list
}

func (w *world) json(v any) string {
	w.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	w.must(e.Encode(v))
	return strings.TrimSuffix(b.String(), "\n")
}

func (w *world) directory() (*export.Directory, string) {
	w.Helper()
	path := filepath.Join(w.TempDir(), "out")
	dir, err := export.MakeDirectory(path)
	w.must(err)
	w.Cleanup(func() { w.must(dir.Close()) })
	return dir, path
}

// lines are those of the data files, in their order.
func (w *world) lines(path string, m *export.Manifest) (list []string) {
	w.Helper()
	for _, f := range m.Files {
		doc, err := os.ReadFile(filepath.Join(path, f.Name))
		w.must(err)
		for line := range strings.Lines(string(doc)) {
			list = append(list, strings.TrimSuffix(line, "\n"))
		}
	}
	return list
}

func (w *world) wantSame(what string, got, want []string) {
	w.Helper()
	at := func(list []string, i int) string {
		if i < len(list) {
			return list[i]
		}
		return "(nothing)"
	}
	for i := range max(len(got), len(want)) {
		if at(got, i) != at(want, i) {
			w.Fatalf("%s: %d items, want %d; the first that differs is %d:\n%s\nwant\n%s", what, len(got), len(want), i, at(got, i), at(want, i))
		}
	}
}

func (w *world) wantOK(dir export.Storage) *export.Report {
	w.Helper()
	report, err := export.Verify(ctx, dir)
	w.must(err)
	if !report.OK() {
		w.Fatalf("an export as it was written has faults: %v", report.Faults)
	}
	return report
}
