package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/threadline/export"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// strange are texts that formats have to escape.
var strange = []string{
	"plain", "=1+1", "'=1+1", "a;=1+1", `say "hi", then go`, "two\nlines", "<b>&amp;</b>", "ä 漢字 🙂", "+49 30", "-5", "@SUM(A1)", "\ttab", " =1+1", "'", "＝1+1",
}

func (w *world) writes(f export.Format) string {
	w.Helper()
	var b bytes.Buffer
	s, err := export.Write(ctx, &b, w.reader, trail.Query{}, f)
	w.must(err)
	if strings.Contains(b.String(), secret) {
		w.Errorf("%s has a value that is masked", f.Name())
	}
	if n := len(w.items(trail.Query{})); s.Rows != int64(n) || s.Actions+s.Changes != s.Rows {
		w.Errorf("%s: %+v, want %d rows", f.Name(), s, n)
	}
	return b.String()
}

// TestFormats reads each format back.
func TestFormats(t *testing.T) {
	both(t, func(w *world) {
		w.sells(strange...)
		w.asAlice("UPDATE orders SET status = 'paid', note = NULL WHERE id = 1", "DELETE FROM orders WHERE id = 2")
		all := w.items(trail.Query{})

		w.wantSame("ndjson", strings.Split(strings.TrimSuffix(w.writes(export.NDJSON()), "\n"), "\n"), all)

		var page struct{ Items []json.RawMessage }
		w.must(json.Unmarshal([]byte(w.writes(export.JSON())), &page))
		var items []string
		for _, item := range page.Items {
			items = append(items, string(item))
		}
		w.wantSame("json", items, all)

		w.readsCSV(all)
		w.readsCloudEvents(all)
		w.readsOCSF(all)
	})
}

// item is what tests look at of an item's JSON.
type item struct {
	Action *struct {
		ID, Action, Reason string
		Metadata           json.RawMessage
		Actor              struct{ Name string }
	}
	Change *struct {
		Op, Table, XID string
		Fields         json.RawMessage
		By             struct{ Actors []struct{ ID, Name string } }
	}
}

func (w *world) item(text string) (i item) {
	w.Helper()
	w.must(json.Unmarshal([]byte(text), &i))
	return i
}

func (w *world) readsCSV(all []string) {
	w.Helper()
	text := w.writes(export.CSV())
	if strings.Contains(text, `,"=1+1"`) || !strings.Contains(text, `,"'=1+1"`) {
		w.Errorf("csv: a formula has no apostrophe before it")
	}
	// encoding/csv takes a CRLF in a cell for a LF, and no text here has one.
	table, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	w.must(err)
	if len(table) != len(all)+1 || strings.Join(table[0], " ") != strings.Join(export.Columns(), " ") {
		w.Fatalf("csv: %d lines, the first is %v", len(table), table[0])
	}
	for n, cells := range table[1:] {
		row := make(map[string]string)
		for i, cell := range cells {
			if cell != "" && strings.ContainsRune("=+-@\t＝", []rune(strings.TrimSpace(cell) + " ")[0]) {
				w.Errorf("csv: a cell begins a formula: %q", cell)
			}
			row[table[0][i]] = export.Unescape(cell)
		}
		switch i := w.item(all[n]); {
		case i.Action != nil:
			if row["kind"] != "action" || row["id"] != i.Action.ID || row["action"] != i.Action.Action || row["reason"] != i.Action.Reason ||
				row["actor_name"] != i.Action.Actor.Name || w.plain(json.RawMessage(row["metadata"])) != w.plain(i.Action.Metadata) {
				w.Fatalf("csv: %v\nwant %s", row, all[n])
			}
		case row["kind"] != "change" || row["op"] != i.Change.Op || row["table"] != i.Change.Table || w.plain(json.RawMessage(row["fields"])) != w.plain(i.Change.Fields) || row["tx_id"] != i.Change.XID:
			w.Fatalf("csv: %v\nwant %s", row, all[n])
		case row["actor_name"] != i.Change.By.Actors[0].Name || row["op"] == "insert" && row["correlation_id"] != "c-7":
			w.Fatalf("csv: %v\nwant %s", row, all[n])
		}
	}
}

func (w *world) readsCloudEvents(all []string) {
	w.Helper()
	lines := strings.Split(strings.TrimSuffix(w.writes(export.CloudEvents("/shop")), "\n"), "\n")
	if len(lines) != len(all) {
		w.Fatalf("cloudevents: %d, want %d", len(lines), len(all))
	}
	seen := make(map[string]bool)
	for n, line := range lines {
		var e struct {
			SpecVersion, ID, Source, Type, Time string
			Data                                journal.Entry
		}
		w.must(json.Unmarshal([]byte(line), &e))
		if e.SpecVersion != "1.0" || e.Source != "/shop" || e.ID == "" || seen[e.ID] || e.Time == "" || e.Data.ID.String() != e.ID {
			w.Errorf("cloudevents: %s", line)
		}
		seen[e.ID] = true
		i := w.item(all[n])
		switch {
		case i.Action != nil && (e.ID != i.Action.ID || e.Type != i.Action.Action || e.Data.Reason != i.Action.Reason):
			w.Errorf("cloudevents: %s\nwant %s", line, all[n])
		case i.Change != nil && (!strings.HasPrefix(e.Type, "row.") || !strings.Contains(string(e.Data.Change), string(i.Change.Fields))):
			// The Change is JSON in JSON, which may have escaped <, > and &.
			var change struct{ Fields json.RawMessage }
			w.must(json.Unmarshal(e.Data.Change, &change))
			if w.plain(change.Fields) != w.plain(i.Change.Fields) {
				w.Errorf("cloudevents: %s\nwant %s", line, all[n])
			}
		}
	}
}

// plain is the JSON without escapes that it does not need.
func (w *world) plain(doc json.RawMessage) string {
	w.Helper()
	var v any
	w.must(json.Unmarshal(doc, &v))
	return w.json(v)
}

// readsOCSF checks the attributes that the schema requires: those of base_event, and of the two classes.
func (w *world) readsOCSF(all []string) {
	w.Helper()
	lines := strings.Split(strings.TrimSuffix(w.writes(export.OCSF()), "\n"), "\n")
	if len(lines) != len(all) {
		w.Fatalf("ocsf: %d, want %d", len(lines), len(all))
	}
	for n, line := range lines {
		var e map[string]any
		w.must(json.Unmarshal([]byte(line), &e))
		required := []string{
			"activity_id", "category_uid", "class_uid", "type_uid", "time", "severity_id", "metadata", "metadata.version", "metadata.product",
			"metadata.product.name", "metadata.product.vendor_name", "metadata.uid", "actor", "actor.user", "unmapped",
		}
		class, category := 6003.0, 6.0
		if w.item(all[n]).Change != nil {
			class, category = 3004, 3
			required = append(required, "entity", "entity.name", "entity.type")
		} else {
			required = append(required, "api", "api.operation", "src_endpoint")
		}
		for _, path := range required {
			if at(e, path) == nil {
				w.Errorf("ocsf: %s is missing in %s", path, line)
			}
		}
		if e["class_uid"] != class || e["category_uid"] != category || e["type_uid"] != class*100+e["activity_id"].(float64) {
			w.Errorf("ocsf: the class of %s", line)
		}
		if len(at(e, "actor.user").(map[string]any)) < 2 || class == 6003 && len(at(e, "src_endpoint").(map[string]any)) == 0 {
			w.Errorf("ocsf: an object has none of the attributes of which it must have one: %s", line)
		}
		unmapped, err := json.Marshal(e["unmapped"])
		w.must(err)
		if w.plain(unmapped) != w.plain(json.RawMessage(all[n])) {
			w.Errorf("ocsf: unmapped is not the item:\n%s\n%s", unmapped, all[n])
		}
	}
}

func at(doc map[string]any, path string) any {
	var v any = doc
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

// TestWriteTruncates: what was left out is stated.
func TestWriteTruncates(t *testing.T) {
	both(t, func(w *world) {
		w.sellsMany(3)
		all := w.items(trail.Query{})
		for limit := len(all) - 1; limit <= len(all); limit++ {
			var b bytes.Buffer
			s, err := export.Write(ctx, &b, w.reader, trail.Query{Limit: limit}, export.JSON())
			w.must(err)
			more := limit < len(all)
			if s.Truncated != more || s.Rows != int64(limit) || strings.Contains(b.String(), `"truncated":true`) != more {
				w.Errorf("limit %d of %d: %+v\n%s", limit, len(all), s, b.String())
			}
		}
	})
}
