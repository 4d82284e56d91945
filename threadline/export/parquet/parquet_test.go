package parquet_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"
	pq "github.com/parquet-go/parquet-go"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/export"
	"github.com/go-aftercommit/aftercommit/threadline/export/parquet"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

func entries(n int) (list []export.Entry) {
	at := time.Date(2026, 11, 30, 10, 0, 0, 123456000, time.UTC)
	for i := range n {
		if i%2 == 0 {
			a := &threadline.Action{Entry: journal.Entry{
				Event: hooks.Event{ID: uuid.New(), OccurredAt: at, Action: "order.placed", Outcome: hooks.Success, Actor: hooks.Actor{Type: hooks.User, ID: "alice"}, Reason: "=ä 漢字\n", Metadata: map[string]any{"n": json.Number("12.50")}},
				Tx:    journal.TxKey{ID: 1 << 60, StartedAt: at}, RecordedAt: at.Add(-time.Duration(i) * time.Microsecond),
			}}
			list = append(list, export.Entry{Item: trail.Item{Action: a}, ID: a.ID})
			continue
		}
		paid := "paid"
		c := &changes.Change{
			XID: 775, TxStartedAt: at, CapturedAt: at.Add(-time.Duration(i) * time.Microsecond), Op: changes.Insert, Schema: "public", Table: "orders", Key: []string{"42"},
			By:     &changes.Attribution{State: changes.NoEvent, Origin: changes.Origin{Role: "shop"}},
			Fields: []changes.Field{{Name: "status", Type: "text", New: changes.Value{Text: &paid}}, {Name: "card", Type: "text", New: changes.Value{Masked: true}}},
		}
		list = append(list, export.Entry{Item: trail.Item{Change: c}, ID: journal.ChangePosition(775, uint64(i)).Key})
	}
	return list
}

func write(t *testing.T, list []export.Entry) []byte {
	t.Helper()
	var out bytes.Buffer
	enc, err := parquet.Format().Begin(&out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if err = enc.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	if err = enc.Close(false); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestReadBack reads each column back, and finds those of CSV under their names.
func TestReadBack(t *testing.T) {
	list := entries(50_001) // several groups
	doc := write(t, list)
	f, err := pq.OpenFile(bytes.NewReader(doc), int64(len(doc)))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, c := range f.Schema().Columns() {
		names = append(names, strings.Join(c, "."))
	}
	if got, want := strings.Join(names, " "), strings.Join(export.Columns(), " "); got != want {
		t.Errorf("columns\n%s\nwant\n%s", got, want)
	}
	if f.NumRows() != int64(len(list)) || len(f.RowGroups()) < 3 {
		t.Errorf("%d rows in %d groups", f.NumRows(), len(f.RowGroups()))
	}
	r := f.RowGroups()[0].Rows()
	rows := make([]pq.Row, 3)
	if n, err := r.ReadRows(rows); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	for i, values := range rows {
		row := make(map[string]any)
		for _, v := range values {
			switch {
			case v.IsNull():
			case v.Kind() == pq.Int64:
				row[names[v.Column()]] = v.Int64()
			default:
				row[names[v.Column()]] = v.String()
			}
		}
		want, err := export.RowOf(list[i])
		if err != nil {
			t.Fatal(err)
		}
		if row["kind"] != string(want.Kind) || row["id"] != want.ID || row["time"] != want.Time.UnixMicro() || i%2 == 0 && (row["reason"] != want.Reason || row["fields"] != nil || row["metadata"] != want.Metadata) ||
			i%2 == 1 && (row["fields"] != want.Fields || row["occurred_at"] != nil || row["changed"] != "status: (no row) → paid; card: (no row) → (masked)") {
			t.Errorf("%v\nwant %+v", row, want)
		}
	}
}

// TestCountRows counts the rows of files of several groups, however they are read, and of none that is cut off.
func TestCountRows(t *testing.T) {
	count := parquet.Format().(export.RowCounter).CountRows
	for _, n := range []int{0, 1, 50_001} {
		doc := write(t, entries(n))
		for _, r := range []io.Reader{bytes.NewReader(doc), iotest.HalfReader(bytes.NewReader(doc))} {
			if rows, err := count(r); err != nil || rows != int64(n) {
				t.Errorf("%d rows, want %d: %v", rows, n, err)
			}
		}
		if _, err := count(bytes.NewReader(doc[:len(doc)-1])); err == nil {
			t.Error("it counts a file that was cut off")
		}
	}
	if _, err := count(strings.NewReader("")); err == nil {
		t.Error("it counts an empty file")
	}
	if _, err := count(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// TestVerify counts the rows of a file again, and finds that a manifest has another number, although its digests fit.
func TestVerify(t *testing.T) {
	dir, err := export.MakeDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	put := func(name string, doc []byte) (sum string) {
		f, err := dir.Create(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = f.Write(doc); err != nil {
			t.Fatal(err)
		}
		if err = f.Commit(); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", sha256.Sum256(doc))
	}
	for _, written := range []int{3, 2} {
		at := &export.Position{Time: "2026-11-30T10:00:00.000000Z", Kind: export.KindAction, ID: "1"}
		m := export.Manifest{Plan: export.Plan{Version: 1, Format: "parquet", FormatVersion: 1}, Rows: 3, Actions: 2, Changes: 1, First: at, Last: at}
		doc := write(t, entries(written))
		file := export.FileInfo{Name: "part-000001.parquet", Rows: 3, Actions: 2, Changes: 1, Size: int64(len(doc)), First: at, Last: at}
		file.SHA256 = put(file.Name, doc)
		m.Files = []export.FileInfo{file}
		manifest, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		put(export.SumsName, fmt.Appendf(nil, "%s  %s\n%s  %s\n", file.SHA256, file.Name, put(export.ManifestName, manifest), export.ManifestName))
		for _, formats := range [][]export.Format{{parquet.Format()}, nil} {
			report, err := export.Verify(t.Context(), dir, formats...)
			if err != nil {
				t.Fatal(err)
			}
			found := len(report.Faults) == 1 && report.Faults[0] == export.Fault{Kind: export.Miscounted, Name: file.Name, Text: "it has 2 rows, but the manifest says 3"}
			if want := written == 2 && formats != nil; found != want || !want && !report.OK() {
				t.Errorf("%d rows, %d formats: %v", written, len(formats), report.Faults)
			}
		}
	}
}

// TestCountLongFile counts the rows of files that are longer than what is kept of them: only their beginning and end matter. The end may
// be in two parts.
func TestCountLongFile(t *testing.T) {
	doc := write(t, entries(3))
	for _, size := range []int{70 << 20, 64<<20 + 20} {
		between := bytes.NewReader(make([]byte, size-len(doc)))
		rows, err := parquet.Format().(export.RowCounter).CountRows(io.MultiReader(bytes.NewReader(doc[:4]), between, bytes.NewReader(doc[4:])))
		if err != nil || rows != 3 {
			t.Errorf("of %d bytes: %d rows: %v", size, rows, err)
		}
	}
}

// TestMemory: an encoder has one group of rows in memory, whatever it has written.
func TestMemory(t *testing.T) {
	enc, err := parquet.Format().Begin(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	list := entries(2)
	list[1].Change.Fields[0].New.Text = new(strings.Repeat("long ", 200))
	before, peak := heap(), uint64(0)
	for i := range 100_000 { // 150 MB
		if err = enc.Encode(list[i%2]); err != nil {
			t.Fatal(err)
		}
		if i%10_000 == 0 {
			peak = max(peak, heap())
		}
	}
	if err = enc.Close(false); err != nil {
		t.Fatal(err)
	}
	if grown := float64(peak) - float64(before); grown > 48<<20 {
		t.Errorf("the heap grew by %.0f MB", grown/(1<<20))
	} else {
		t.Logf("the heap grew by %.0f MB", grown/(1<<20))
	}
}

// TestOtherReader reads a file with hyparquet, an implementation in JavaScript: AFTERCOMMIT_HYPARQUET names the folder of
// its package, where npm has installed it.
func TestOtherReader(t *testing.T) {
	folder := os.Getenv("AFTERCOMMIT_HYPARQUET")
	if folder == "" {
		t.Skip("AFTERCOMMIT_HYPARQUET does not name hyparquet's folder")
	}
	list := entries(30_001)
	name := t.TempDir() + "/x.parquet"
	if err := os.WriteFile(name, write(t, list), 0o600); err != nil {
		t.Fatal(err)
	}
	const script = `
const { pathToFileURL } = require('url');
(async () => {
  const [folder, name] = process.argv.slice(1);
  const { asyncBufferFromFile, parquetReadObjects } = await import(pathToFileURL(folder + '/src/node.js'));
  const { compressors } = await import(pathToFileURL(folder + '/../hyparquet-compressors/src/index.js'));
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(name), compressors });
  console.log(JSON.stringify({ n: rows.length, first: rows[0], last: rows[rows.length - 2] }));
})().catch(e => { console.error(e); process.exit(1); });`
	out, err := exec.CommandContext(t.Context(), "node", "-e", script, folder, name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got struct {
		N           int
		First, Last map[string]any
	}
	if err = json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got.N != len(list) || got.First["reason"] != "=ä 漢字\n" || got.First["time"] != "2026-11-30T10:00:00.123Z" || got.First["tx_id"] != "1152921504606846976" || got.First["fields"] != nil ||
		got.Last["op"] != "insert" || got.Last["role"] != "shop" || got.Last["drifted"] != false {
		t.Errorf("%s", out)
	}
}
