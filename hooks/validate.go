package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
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

// InvalidError says which field of an event cannot be stored, and why.
type InvalidError struct {
	Field  string // as in the event's JSON, with the path inside metadata
	Reason string
}

// Error names the field.
func (e *InvalidError) Error() string {
	return "hooks: invalid event: " + e.Field + ": " + e.Reason
}

var actionForm = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)

// Prepare completes an event and checks that every store can hold it. It
// returns an [*InvalidError] if not.
func Prepare(e Event) (Event, error) {
	if e.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return e, fmt.Errorf("hooks: event id: %w", err)
		}
		e.ID = id
	}
	if e.OccurredAt.IsZero() {
		e.OccurredAt = time.Now()
	}
	e.OccurredAt = e.OccurredAt.UTC().Truncate(time.Microsecond)
	if e.Outcome == "" {
		e.Outcome = Success
	}
	return e, Validate(e)
}

// Validate reports the first thing about e that a store could not hold, as an
// [*InvalidError]: a form or length that is not allowed, a secret (a metadata
// key such as "password", at any depth), bytes that are not UTF-8 text, a
// number that PostgreSQL's numeric has no room for.
func Validate(e Event) error {
	switch {
	case e.ID == uuid.Nil:
		return &InvalidError{"id", "is empty"}
	case e.OccurredAt.Year() < 1 || e.OccurredAt.Year() > 9999:
		return &InvalidError{"occurred_at", "its year is outside 1 to 9999"}
	case len(e.Action) > MaxAction:
		return tooLong("action", len(e.Action), MaxAction)
	case !actionForm.MatchString(e.Action):
		return &InvalidError{"action", fmt.Sprintf("%q does not have the form noun.verb: lower case words of letters, digits and _, joined by dots", e.Action)}
	}
	switch e.Outcome {
	case Success, Failure, Errored:
	default:
		return &InvalidError{"outcome", fmt.Sprintf("%q: use success, failure or error", e.Outcome)}
	}
	if err := validateActor(e.Actor); err != nil {
		return err
	}
	for _, f := range e.texts() {
		if err := validateText(f.name, *f.value, f.limit); err != nil {
			return err
		}
	}
	return validateMetadata(e.Metadata)
}

func validateActor(a Actor) error {
	if a.IsZero() {
		return nil
	}
	switch a.Type {
	case User, Admin, ServiceAccount, Job, System, Anonymous:
	default:
		return &InvalidError{"actor.type", fmt.Sprintf("%q: use user, admin, service_account, job, system or anonymous", a.Type)}
	}
	if a.ID == "" && a.Type != System && a.Type != Anonymous {
		return &InvalidError{"actor.id", fmt.Sprintf("is empty, which only system and anonymous actors may leave; this is a %s", a.Type)}
	}
	return nil
}

type textField struct {
	name  string
	value *string
	limit int
}

// texts lists the free text fields of e.
func (e *Event) texts() []textField {
	return []textField{
		{"actor.id", &e.Actor.ID, MaxText},
		{"actor.name", &e.Actor.Name, MaxText},
		{"actor.on_behalf_of", &e.Actor.OnBehalfOf, MaxText},
		{"target.type", &e.Target.Type, MaxText},
		{"target.id", &e.Target.ID, MaxText},
		{"target.name", &e.Target.Name, MaxText},
		{"tenant_id", &e.TenantID, MaxText},
		{"request_id", &e.RequestID, MaxText},
		{"correlation_id", &e.CorrelationID, MaxText},
		{"causation_id", &e.CausationID, MaxText},
		{"job_id", &e.JobID, MaxText},
		{"trace_parent", &e.TraceParent, MaxText},
		{"ip_address", &e.IPAddress, MaxText},
		{"user_agent", &e.UserAgent, MaxUserAgent},
		{"reason", &e.Reason, MaxText},
		{"comment", &e.Comment, MaxMetadata},
		{"application", &e.Application, MaxText},
		{"host", &e.Host, MaxText},
	}
}

func validateText(field, s string, limit int) error {
	switch {
	case len(s) > limit:
		return tooLong(field, len(s), limit)
	case strings.IndexByte(s, 0) >= 0:
		return &InvalidError{field, "contains a NUL byte, which no database stores as text"}
	case !utf8.ValidString(s):
		return &InvalidError{field, "is not valid UTF-8"}
	}
	return nil
}

func tooLong(field string, n, limit int) error {
	return &InvalidError{field, fmt.Sprintf("has %d bytes, the limit is %d", n, limit)}
}

func validateMetadata(m map[string]any) error {
	if len(m) == 0 {
		return nil
	}
	if err := checkStrings("metadata", m); err != nil {
		return err
	}
	doc, err := json.Marshal(m)
	if err != nil {
		return &InvalidError{"metadata", "is not JSON: " + err.Error()}
	}
	if len(doc) > MaxMetadata {
		return tooLong("metadata", len(doc), MaxMetadata)
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil && !errors.Is(err, io.EOF) {
		return &InvalidError{"metadata", "is not JSON: " + err.Error()}
	}
	return checkValue("metadata", v)
}

// checkStrings finds invalid UTF-8 before json.Marshal replaces it silently. It
// sees the types that metadata is usually built of; inside others (structs),
// Marshal's replacement stands.
func checkStrings(path string, v any) error {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return &InvalidError{path, "is not valid UTF-8"}
		}
	case []string:
		for i, s := range v {
			if err := checkStrings(path+"["+strconv.Itoa(i)+"]", s); err != nil {
				return err
			}
		}
	case []any:
		for i, w := range v {
			if err := checkStrings(path+"["+strconv.Itoa(i)+"]", w); err != nil {
				return err
			}
		}
	case map[string]string:
		for k, s := range v {
			if !utf8.ValidString(k) || !utf8.ValidString(s) {
				return &InvalidError{path + "." + strconv.Quote(k), "is not valid UTF-8"}
			}
		}
	case map[string]any:
		for k, w := range v {
			if !utf8.ValidString(k) {
				return &InvalidError{path + "." + strconv.Quote(k), "its name is not valid UTF-8"}
			}
			if err := checkStrings(path+"."+k, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkValue walks decoded JSON: keys that name secrets, NUL in strings,
// numbers out of range.
func checkValue(path string, v any) error {
	switch v := v.(type) {
	case string:
		if strings.IndexByte(v, 0) >= 0 {
			return &InvalidError{path, `contains \u0000, which PostgreSQL's jsonb cannot store`}
		}
	case json.Number:
		if !numericHolds(v.String()) {
			return &InvalidError{path, "is a number outside the range of PostgreSQL's numeric"}
		}
	case []any:
		for i, w := range v {
			if err := checkValue(path+"["+strconv.Itoa(i)+"]", w); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, w := range v {
			at := path + "." + k
			if strings.IndexByte(k, 0) >= 0 {
				return &InvalidError{at, `its name contains \u0000, which PostgreSQL's jsonb cannot store`}
			}
			if IsSecret(k) {
				return &InvalidError{at, "its name says that it is a secret, and an audit trail keeps things forever: leave it out, or store a fingerprint under another name"}
			}
			if err := checkValue(at, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// numericHolds reports whether a JSON number fits PostgreSQL's numeric: up to
// 131072 digits before the decimal point and 16383 after it (PostgreSQL manual,
// section 8.1). A document of 8192 bytes reaches them only by an exponent.
func numericHolds(s string) bool {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return true
	}
	exp, err := strconv.Atoi(s[i+1:])
	if err != nil {
		return false
	}
	digits := len(s[:i])
	return exp+digits <= 131072 && exp-digits >= -16383
}

var secretNames = []string{
	"password", "passwd", "passphrase", "pwd", "secret", "secretkey", "token", "apikey",
	"accesskey", "privatekey", "authorization", "cookie", "credential", "credentials",
	"cvv", "cvc", "otp", "pincode",
}

// IsSecret reports whether a metadata key names something that must not be
// stored: a name such as "password" or "api_key", or one that ends in it, as
// "new_password" or "accessToken" do; case, - and _ do not matter.
func IsSecret(key string) bool {
	plain := strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(key))
	for _, name := range secretNames {
		switch {
		case plain == name:
			return true
		case len(name) > 3 && strings.HasSuffix(plain, name):
			return true
		}
	}
	return false
}

// Shorten makes a captured event storable: texts are cut to their limits and
// bytes that no store holds are replaced. It reports whether it changed
// anything. Captured events must never fail the app's statement, recorded ones
// are refused instead.
func Shorten(e *Event) bool {
	changed := false
	for _, f := range e.texts() {
		s := strings.ToValidUTF8(strings.ReplaceAll(*f.value, "\x00", "\uFFFD"), "\uFFFD")
		if len(s) > f.limit {
			s = s[:f.limit]
			for !utf8.ValidString(s) { // a character cut in two
				s = s[:len(s)-1]
			}
		}
		if s != *f.value {
			*f.value, changed = s, true
		}
	}
	return changed
}
