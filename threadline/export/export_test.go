package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// TestFormulas: what a spreadsheet would execute, or might, is text; and all is reversible.
func TestFormulas(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain": "plain", "a=b": "a=b", "1-2": "1-2", "user:42": "user:42", " spaced": " spaced", "é": "é",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1", "\n=1": "'\n=1", "\tx": "'\tx",
		" =1": "' =1", "\u00a0=1": "'\u00a0=1", "\ufeff=1": "'\ufeff=1", "\u200b@x": "'\u200b@x", "\x00=1": "'\x00=1",
		"＝1": "'＝1", "＋1": "'＋1", "－1": "'－1", "＠x": "'＠x",
		"'": "''", "'=1": "''=1", "'quoted'": "''quoted'", "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
	} {
		if got := escapeFormula(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if got := Unescape(escapeFormula(text)); got != text {
			t.Errorf("%q comes back as %q", text, got)
		}
	}
}

// FuzzCells: no line that is written has a cell that begins a formula, also for readers that take semicolons for separators,
// and each cell comes back.
func FuzzCells(f *testing.F) {
	for _, text := range []string{"=1", `a";=1`, "a\n=1", `"`, "';", "a,=1", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\r") {
			t.Skip("encoding/csv drops it before a line break")
		}
		var out bytes.Buffer
		c := &csvEncoder{w: &out}
		for i := range 2 {
			c.cell(i, text)
		}
		if err := c.end(); err != nil {
			t.Fatal(err)
		}
		cells, err := csv.NewReader(&out).Read()
		if err != nil && text != "" || len(cells) != 2 && text != "" {
			t.Fatalf("%q: %q, %v", text, cells, err)
		}
		for _, c := range cells {
			if Unescape(c) != text || c != "" && strings.ContainsRune("=+-@", rune(c[0])) {
				t.Errorf("%q: %q", text, c)
			}
		}
	})
}

func at() time.Time { return time.Date(2026, 11, 30, 10, 0, 0, 123456000, time.UTC) }

func text8(s string) *string { return &s }

// entries are an action with most that one can have, one with the least, and changes of each kind.
func entries() []Entry {
	full := threadline.Action{Entry: journal.Entry{
		Event: hooks.Event{
			ID: uuid.MustParse("0195951b-9ee7-7c3f-8d5c-7d1b3c5e7f90"), OccurredAt: at(), Action: "order.deleted", Outcome: hooks.Failure,
			Actor: hooks.Actor{Type: hooks.Admin, ID: "7", Name: "Ada", OnBehalfOf: "12"}, Target: hooks.Target{Type: "order", ID: "42", Name: "A-42"},
			TenantID: "acme", RequestID: "r-1", CorrelationID: "c-7", IPAddress: "10.0.0.7", UserAgent: "curl", Reason: "damaged", Application: "shop",
		},
		Tx: journal.TxKey{ID: 775, StartedAt: at()}, RecordedAt: at(),
	}}
	least := threadline.Action{Entry: journal.Entry{Event: hooks.Event{ID: uuid.MustParse("0195951b-9ee7-7c3f-8d5c-7d1b3c5e7f91"), Action: "a.b"}, RecordedAt: at()}}
	by := &changes.Attribution{State: changes.Recorded, Contexts: []changes.Context{{Actor: hooks.Actor{Type: hooks.Job, ID: "9"}, CorrelationID: "c-7"}}}
	list := []Entry{{Item: trail.Item{Action: &full}, ID: full.ID}, {Item: trail.Item{Action: &least}, ID: least.ID}}
	for i, op := range []changes.Op{changes.Insert, changes.Update, changes.Delete, changes.Truncate} {
		c := &changes.Change{XID: 775, TxStartedAt: at(), CapturedAt: at(), By: by, Op: op, Schema: "public", Table: "orders", Key: []string{"42"}}
		if op != changes.Truncate {
			c.Fields = []changes.Field{{Name: "status", Type: "text", Old: changes.Value{Text: text8("new")}, New: changes.Value{Text: text8("paid")}}, {Name: "card", Type: "text", Old: changes.Value{Masked: true}, New: changes.Value{Masked: true}}}
		} else {
			c.Key, c.By = nil, &changes.Attribution{State: changes.NoEvent, Origin: changes.Origin{Role: "shop"}}
		}
		list = append(list, Entry{Item: trail.Item{Change: c}, ID: journal.ChangePosition(775, uint64(i+1)).Key})
	}
	return list
}

// TestOCSF is what a SIEM relies on, by the attributes.
func TestOCSF(t *testing.T) {
	want := []map[string]any{
		{"class_uid": 6003, "category_uid": 6, "activity_id": 4, "type_uid": 600304, "time": 1796032800123, "severity_id": 1, "status_id": 2, "metadata.correlation_uid": "c-7", "metadata.tenant_uid": "acme", "actor.user.uid": "7", "actor.user.type_id": 2, "api.operation": "order.deleted", "src_endpoint.ip": "10.0.0.7", "http_request.user_agent": "curl", "metadata.version": OCSFVersion},
		{"class_uid": 6003, "activity_id": 99, "type_uid": 600399, "actor.user.name": "unattributed", "src_endpoint.name": "unknown", "time": 1796032800123},
		{"class_uid": 3004, "category_uid": 3, "activity_id": 1, "type_uid": 300401, "entity.uid": "42", "entity.name": "public.orders", "entity_result.data.status": "paid", "entity_result.data.card": "(masked)", "actor.user.uid": "9", "entity.data.status": nil},
		{"class_uid": 3004, "activity_id": 3, "type_uid": 300403, "entity.data.status": "new", "entity_result.data.status": "paid", "metadata.original_time": "2026-11-30T10:00:00.123456Z"},
		{"class_uid": 3004, "activity_id": 4, "type_uid": 300404, "entity.data.status": "new", "entity_result": nil},
		{"class_uid": 3004, "activity_id": 99, "type_uid": 300499, "activity_name": "truncate", "entity.type": "table", "actor.user.name": "role shop (no event)"},
	}
	for i, e := range entries() {
		doc, err := ocsfOf(e)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err = json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		for path, value := range want[i] {
			if n, ok := value.(int); ok {
				value = float64(n)
			}
			if found := find(got, path); found != value {
				t.Errorf("%d: %s is %v, want %v", i, path, found, value)
			}
		}
	}
}

func find(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

// TestCSVLine is what readers of the table rely on, byte for byte.
func TestCSVLine(t *testing.T) {
	var out bytes.Buffer
	enc, err := CSV().Begin(&out)
	if err == nil {
		err = enc.Encode(entries()[3])
	}
	if err != nil {
		t.Fatal(err)
	}
	const want = `"kind","id","time","occurred_at","who","actor_type","actor_id","actor_name","on_behalf_of","tenant_id","request_id","correlation_id","causation_id","job_id","ip_address","user_agent","action","outcome","target_type","target_id","target_name","reason","comment","metadata","captured","unreadable","op","schema","table","key","former_key","changed","fields","state","drifted","nested","foreign_key","application","host","role","client","tx_id","tx_started_at"` + "\r\n" +
		`"change","ff000000-0000-8000-8200-000000030700","2026-11-30T10:00:00.123456Z",,"job:9","job","9",,,,,"c-7",,,,,,,,,,,,,"false",,"update","public","orders","[""42""]",,"status: new → paid; card: (masked) → (masked)","[{""name"":""status"",""type"":""text"",""old"":{""kind"":""value"",""text"":""new""},""new"":{""kind"":""value"",""text"":""paid""}},{""name"":""card"",""type"":""text"",""old"":{""kind"":""masked""},""new"":{""kind"":""masked""}}]","recorded","false","false",,,,,,"775","2026-11-30T10:00:00.123456Z"` + "\r\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestColumnsAreDocumented: the table of the README has each column.
func TestColumnsAreDocumented(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Columns() {
		if !bytes.Contains(readme, []byte("`"+name+"`")) {
			t.Errorf("the README does not name the column %s", name)
		}
	}
}

// TestCommitRefused: a file that cannot get its name leaves nothing behind.
func TestCommitRefused(t *testing.T) {
	path := t.TempDir()
	dir, err := OpenDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err = os.MkdirAll(filepath.Join(path, "taken", "by a directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := dir.Create(t.Context(), "taken")
	if err != nil {
		t.Fatal(err)
	}
	if err = f.Commit(); err == nil {
		t.Error("a directory was replaced")
	}
	list, err := os.ReadDir(path)
	if err != nil || len(list) != 1 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// TestCountLines: a line break within quotation marks ends no row, wherever the reader's parts end.
func TestCountLines(t *testing.T) {
	for _, f := range Formats() {
		if _, ok := f.(RowCounter); !ok {
			t.Errorf("%s cannot be counted", f.Name())
		}
	}
	long := strings.Repeat("x", 100<<10)
	for _, c := range []struct {
		doc    string
		quoted bool
		want   int64
	}{
		{"", false, 0},
		{"a\nb\n", false, 2},
		{"a\nb", false, 1}, // it was cut off
		{"\"a\nb\"\r\n\"c\"\"\nd\"\r\n", true, 2},
		{"\"\n\n", false, 2}, // JSON has no line breaks in its texts
		{"\"" + long + "\n" + long + "\"\r\n" + long + "\n", true, 2},
	} {
		if got, err := countLines(strings.NewReader(c.doc), c.quoted); err != nil || got != c.want {
			t.Errorf("%.20q: %d lines, want %d: %v", c.doc, got, c.want, err)
		}
	}
}
