package forward

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// Spec is a forwarder as an operator writes it, into a file or the environment:
//
//	{"name": "nats", "dispatch": "async", "filter": {"actions": ["order.*"]},
//	 "options": {"url": "nats://events.example:4222"}}
type Spec struct {
	// Name is that of the kind of forwarder, such as "threadline"; see
	// [Provide].
	Name string `json:"name"`
	// ID is needed for a second one of the same kind; see [ID].
	ID string `json:"id,omitempty"`
	// Dispatch is "auto" if it is not given, "sync" or "async".
	Dispatch Dispatch `json:"dispatch,omitempty"`
	// Timeout is as for time.ParseDuration, such as "5s"; see [Timeout].
	Timeout string `json:"timeout,omitempty"`
	// MaxAttempts is as for [MaxAttempts].
	MaxAttempts int `json:"max_attempts,omitempty"`
	// Filter chooses the entries that it gets.
	Filter Choice `json:"filter,omitzero"`
	// Options are the forwarder's own.
	Options map[string]string `json:"options,omitempty"`
}

// Choice chooses entries: those that match one of the patterns of each list that
// is not empty. In a pattern * stands for any characters but a slash; see
// [path.Match].
type Choice struct {
	Actions []string `json:"actions,omitempty"`
	Targets []string `json:"targets,omitempty"` // types of the target
	Tenants []string `json:"tenants,omitempty"` // IDs of the tenant
}

// MarshalText is String.
func (d Dispatch) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what String returns.
func (d *Dispatch) UnmarshalText(text []byte) error {
	for _, known := range []Dispatch{Auto, Sync, Async} {
		if string(text) == known.String() {
			*d = known
			return nil
		}
	}
	return fmt.Errorf("forward: the dispatch %q is not auto, sync or async", text)
}

// ParseSpecs reads a JSON array of [Spec]. Empty text means no forwarders; an unknown
// field is an error.
func ParseSpecs(text []byte) ([]Spec, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var specs []Spec
	err := dec.Decode(&specs)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more text after the array")
		}
	}
	if err != nil {
		return nil, fmt.Errorf(`forward: the list of forwarders is a JSON array such as [{"name": "threadline"}]: %w`, err)
	}
	return specs, nil
}

// Configure registers forwarders by name, beside those of [Hub.Register]. Like
// Register it must be called before a database is opened. A forwarder whose package
// is not linked in is left out, with a warning that names the import; the journal is
// written all the same. After any other mistake, an error, none of them is registered.
func (h *Hub) Configure(specs ...Spec) error {
	var all []*registration
	for i := range specs {
		s := &specs[i]
		r, err := h.fromSpec(s)
		if err != nil {
			return fmt.Errorf("forward: the forwarder %d, %q: %w", i+1, s.Name, err)
		}
		if r == nil {
			h.log.Warn("aftercommit: a forwarder is left out: its package is not part of this program; what is committed stays in the journal",
				zap.String("forwarder", s.Name), zap.String("do", importOf(s.Name)), zap.String("known", provided()))
			continue
		}
		all = append(all, r)
	}
	return h.add(all...)
}

// fromSpec returns nil if there is no maker of that name.
func (h *Hub) fromSpec(s *Spec) (*registration, error) {
	if s.Name == "" {
		return nil, errors.New(`it has no "name"`)
	}
	keep, err := s.Filter.compile()
	if err != nil {
		return nil, err
	}
	timeout := h.timeout
	if s.Timeout != "" {
		if timeout, err = time.ParseDuration(s.Timeout); err != nil || timeout <= 0 {
			return nil, fmt.Errorf(`the timeout %q is not a duration such as "5s"`, s.Timeout)
		}
	}
	if s.MaxAttempts < 0 {
		return nil, fmt.Errorf("max_attempts is %d", s.MaxAttempts)
	}
	m := maker(s.Name)
	if m == nil {
		return nil, nil
	}
	f, err := m(s.Options)
	if err == nil && f == nil {
		err = errors.New("its Maker returned nil")
	}
	if err != nil {
		return nil, err
	}
	r := h.registration(f, s.Dispatch)
	r.keep, r.timeout, r.spec = keep, timeout, s.differs()
	if s.ID != "" {
		r.id = s.ID
	}
	if s.MaxAttempts > 0 {
		r.maxAttempts = s.MaxAttempts
	}
	return r, nil
}

// compile returns nil if all entries are chosen.
func (c *Choice) compile() (func(journal.Entry) bool, error) {
	for _, patterns := range [][]string{c.Actions, c.Targets, c.Tenants} {
		for _, p := range patterns {
			if _, err := path.Match(p, ""); err != nil || p == "" {
				return nil, fmt.Errorf("the filter's pattern %q: %w", p, path.ErrBadPattern)
			}
		}
	}
	if len(c.Actions)+len(c.Targets)+len(c.Tenants) == 0 {
		return nil, nil
	}
	chosen := *c
	return func(e journal.Entry) bool {
		return matches(chosen.Actions, e.Action) && matches(chosen.Targets, e.Target.Type) && matches(chosen.Tenants, e.TenantID)
	}, nil
}

func matches(patterns []string, s string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, s); err == nil && ok {
			return true
		}
	}
	return len(patterns) == 0
}
