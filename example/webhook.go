package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// webhook posts entries to another system as JSON.
type webhook struct {
	url string
}

var _ forward.Forwarder = (*webhook)(nil)

// Forward posts entries. An answer of 4xx is permanent: the same body will not
// be liked better next time.
func (w *webhook) Forward(ctx context.Context, entries []journal.Entry) error {
	body, err := json.Marshal(entries)
	if err != nil {
		return forward.Permanent("not_json", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return forward.Permanent("bad_url", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	switch {
	case resp.StatusCode >= 400 && resp.StatusCode < 500:
		return forward.Permanent("refused", fmt.Errorf("the warehouse answered %s", resp.Status))
	case resp.StatusCode >= 300:
		return fmt.Errorf("the warehouse answered %s", resp.Status)
	}
	return err
}

// depot is the other system's end of the webhook, which has bad
// hours, and knows an event or a row change that it gets twice by its ID.
type depot struct {
	*httptest.Server

	mu      sync.Mutex
	down    bool
	has     map[uuid.UUID]bool
	changed []journal.Entry // row changes, in the order in which they came first
}

func openDepot() *depot {
	d := &depot{has: map[uuid.UUID]bool{}}
	d.Server = httptest.NewServer(d)
	return d
}

// ServeHTTP takes entries.
func (d *depot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var entries []journal.Entry
	err := json.NewDecoder(r.Body).Decode(&entries)
	switch {
	case d.down:
		http.Error(w, "closed for stocktaking", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		for _, e := range entries {
			if e.Change != nil && !d.has[e.ID] {
				d.changed = append(d.changed, e)
			}
			d.has[e.ID] = true
		}
	}
}

// print prints which fields of an order have changed, as this system was told.
func (d *depot) print(out io.Writer, order int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(out, "\nWhat bookkeeping got of order %d by webhook, after each commit:\n", order)
	for _, e := range d.changed {
		var c changes.Diff
		if err := json.Unmarshal(e.Change, &c); err != nil {
			return err
		}
		if c.Table != "orders" || !slices.Equal(c.Key, []string{strconv.FormatInt(order, 10)}) {
			continue
		}
		var fields []string
		for _, f := range c.Fields {
			fields = append(fields, f.Name+" "+text(f.Old)+" → "+text(f.New))
		}
		fmt.Fprintf(out, "  %s  %s by %s: %s\n", e.RecordedAt.Format("15:04:05.000"), e.Action, e.Application, strings.Join(fields, ", "))
	}
	return nil
}

func text(v changes.DiffValue) string {
	if v.Text != nil {
		return *v.Text
	}
	return "(" + string(v.Kind) + ")"
}

func (d *depot) close(down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = down
}

// lacks returns those of entries that never arrived.
func (d *depot) lacks(entries []journal.Entry) []journal.Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	var missing []journal.Entry
	for _, e := range entries {
		if !d.has[e.ID] {
			missing = append(missing, e)
		}
	}
	return missing
}

// ids returns the IDs of the entries that arrived, as text.
func (d *depot) ids() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := make(map[string]bool, len(d.has))
	for id := range d.has {
		ids[id.String()] = true
	}
	return ids
}
