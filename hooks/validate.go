package hooks

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Limits of an event, in bytes.
const (
	MaxAction    = 255
	MaxUserAgent = 512
	MaxMetadata  = 8192
	// MaxText is the limit of each other text field.
	MaxText = 1024
)

// MaxDepth is how deep the objects and arrays of metadata may be nested, in
// levels; the metadata itself is the first.
const MaxDepth = 100

// InvalidError says which field of an event cannot be stored, and why.
type InvalidError struct {
	Field  string // as in the event's JSON, with the path inside metadata
	Reason string
}

// Error names the field.
func (e *InvalidError) Error() string {
	return "hooks: invalid event: " + e.Field + ": " + e.Reason
}

// Prepare completes an event and checks, as [Validate] does, that every store
// can hold it. It returns an [*InvalidError] if not. The metadata of the event
// that it returns is a copy, in the form in which stores return it.
func Prepare(e Event) (Event, error) {
	if e.ID == uuid.Nil {
		e.ID = NewID()
	}
	e.OccurredAt = e.OccurredAt.UTC().Truncate(time.Microsecond)
	if e.OccurredAt.IsZero() { // what is left of it, which is what is stored
		e.OccurredAt = time.Now().UTC().Truncate(time.Microsecond)
	}
	if e.Outcome == "" {
		e.Outcome = Success
	}
	if err := validateFields(&e); err != nil {
		return e, err
	}
	metadata, err := normalize(e.Metadata)
	if err != nil {
		return e, err
	}
	e.Metadata = metadata
	return e, nil
}

// Validate reports the first thing about e that a store could not hold, as an
// [*InvalidError]: a form or length that is not allowed, bytes that are not
// UTF-8 text; in metadata a secret (a key such as "password", at any depth), a
// key that occurs twice, half a surrogate pair, or more than [MaxDepth] levels.
func Validate(e Event) error {
	if err := validateFields(&e); err != nil {
		return err
	}
	_, err := normalize(e.Metadata)
	return err
}

func validateFields(e *Event) error {
	switch {
	case e.ID == uuid.Nil:
		return &InvalidError{"id", "is empty"}
	case e.OccurredAt.UTC().Year() < 1 || e.OccurredAt.UTC().Year() > 9999:
		return &InvalidError{"occurred_at", "its year is outside 1 to 9999"}
	case len(e.Action) > MaxAction:
		return tooLong("action", len(e.Action), MaxAction)
	case !isAction(e.Action):
		return &InvalidError{"action", fmt.Sprintf("%q does not have the form noun.verb: lower case words of letters, digits and _, joined by dots", e.Action)}
	}
	switch e.Outcome {
	case Success, Failure, Errored:
	default:
		return &InvalidError{"outcome", fmt.Sprintf("%s: use success, failure or error", excerpt(string(e.Outcome)))}
	}
	if err := validateActor(e.Actor); err != nil {
		return err
	}
	for i, text := range e.texts() {
		if *text == "" {
			continue // as most are
		}
		if err := validateText(&textFields[i], *text); err != nil {
			return err
		}
	}
	return nil
}

// isAction reports whether s has the form of [Event.Action].
func isAction(s string) bool {
	start, dots := true, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', !start && (c >= '0' && c <= '9' || c == '_'):
			start = false
		case c == '.' && !start:
			start = true
			dots++
		default:
			return false
		}
	}
	return dots > 0 && !start
}

func validateActor(a Actor) error {
	if a.IsZero() {
		return nil
	}
	switch a.Type {
	case User, Admin, ServiceAccount, Job, System, Anonymous:
	default:
		return &InvalidError{"actor.type", fmt.Sprintf("%s: use user, admin, service_account, job, system or anonymous", excerpt(string(a.Type)))}
	}
	if a.ID == "" && a.Type != System && a.Type != Anonymous {
		return &InvalidError{"actor.id", fmt.Sprintf("is empty, which only system and anonymous actors may leave; this is a %s", a.Type)}
	}
	return nil
}

// excerpt quotes a value that may be of any length.
func excerpt(s string) string {
	const most = 64
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
}

// textField is a free text field of an event.
type textField struct {
	name  string
	limit int
}

// textFields are in the order of texts.
var textFields = [...]textField{
	{"actor.type", MaxText},
	{"actor.id", MaxText},
	{"actor.name", MaxText},
	{"actor.on_behalf_of", MaxText},
	{"target.type", MaxText},
	{"target.id", MaxText},
	{"target.name", MaxText},
	{"tenant_id", MaxText},
	{"request_id", MaxText},
	{"correlation_id", MaxText},
	{"causation_id", MaxText},
	{"job_id", MaxText},
	{"trace_parent", MaxText},
	{"ip_address", MaxText},
	{"user_agent", MaxUserAgent},
	{"reason", MaxText},
	{"comment", MaxMetadata},
	{"application", MaxText},
	{"host", MaxText},
}

// texts are the values of textFields in e. The names are kept apart from them: names escape into
// errors, and e would have to be on the heap with them.
func (e *Event) texts() [len(textFields)]*string {
	return [...]*string{
		(*string)(&e.Actor.Type),
		&e.Actor.ID,
		&e.Actor.Name,
		&e.Actor.OnBehalfOf,
		&e.Target.Type,
		&e.Target.ID,
		&e.Target.Name,
		&e.TenantID,
		&e.RequestID,
		&e.CorrelationID,
		&e.CausationID,
		&e.JobID,
		&e.TraceParent,
		&e.IPAddress,
		&e.UserAgent,
		&e.Reason,
		&e.Comment,
		&e.Application,
		&e.Host,
	}
}

func validateText(f *textField, s string) error {
	switch {
	case len(s) > f.limit:
		return tooLong(f.name, len(s), f.limit)
	case strings.IndexByte(s, 0) >= 0:
		return &InvalidError{f.name, "contains a NUL byte, which no database stores as text"}
	case !utf8.ValidString(s):
		return &InvalidError{f.name, "is not valid UTF-8"}
	}
	return nil
}

func tooLong(field string, n, limit int) error {
	return &InvalidError{field, fmt.Sprintf("has %d bytes, the limit is %d", n, limit)}
}

// Shorten makes a captured event storable: its texts, and those that are members of its
// metadata, are cut to their limits, and bytes that no store holds are replaced. It reports
// whether it changed anything. Captured events must never fail the app's statement, recorded
// ones are refused instead.
func Shorten(e *Event) bool {
	changed := false
	for i, text := range e.texts() {
		if *text == "" {
			continue // as most are
		}
		if s := shortened(*text, textFields[i].limit); s != *text {
			*text, changed = s, true
		}
	}
	for name, v := range e.Metadata {
		if text, is := v.(string); is {
			if s := shortened(text, MaxText); s != text {
				e.Metadata[name], changed = s, true
			}
		}
	}
	return changed
}

func shortened(s string, limit int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
	if len(s) <= limit {
		return s
	}
	s = s[:limit]
	for !utf8.ValidString(s) { // a character cut in two
		s = s[:len(s)-1]
	}
	return s
}
