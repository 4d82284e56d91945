// Package cloudevent is the one form in which entries of the journal are CloudEvents: to forwarders and in exports.
package cloudevent

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// ContentType is that of a CloudEvent in JSON (CloudEvents JSON Event Format
// 1.0, section 3).
const ContentType = "application/cloudevents+json"

// cloudEvent is an entry in the form of CloudEvents 1.0, structured mode.
type cloudEvent struct {
	SpecVersion     string        `json:"specversion"`
	ID              uuid.UUID     `json:"id"`
	Source          string        `json:"source"`
	Type            string        `json:"type"`
	Subject         string        `json:"subject,omitempty"`
	Time            time.Time     `json:"time"`
	DataContentType string        `json:"datacontenttype"`
	Data            journal.Entry `json:"data"`
}

// Encode returns the entry as a CloudEvent in JSON. The source is one that
// [CheckSource] accepts, or "" for one that is made of the app's name.
func Encode(e journal.Entry, source string) ([]byte, error) {
	if source == "" {
		source = defaultSource(e.Application)
	}
	return json.Marshal(cloudEvent{
		SpecVersion: "1.0", ID: e.ID, Source: source, Type: e.Action, Subject: subjectOf(e.Target),
		Time: e.OccurredAt.UTC(), DataContentType: "application/json", Data: e,
	})
}

// CheckSource refuses what is no URI reference (RFC 3986, section 4.1).
func CheckSource(source string) error {
	_, err := url.Parse(source)
	if err == nil && strings.ContainsFunc(source, notInURI) {
		err = errors.New("it has characters that must be percent-encoded")
	}
	if err != nil {
		return fmt.Errorf("Options.Source must be a URI reference, such as /shop: %w", err)
	}
	return nil
}

func notInURI(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", r)
}

// defaultSource makes a URI reference of an app's name.
func defaultSource(application string) string {
	if application == "" {
		application = "aftercommit"
	}
	return "/" + url.PathEscape(application)
}

// subjectOf names a target by what there is of type and ID. An attribute must
// not be empty, and must not have the characters that plain does not let pass.
func subjectOf(t hooks.Target) string {
	subject := t.Type
	if t.Type != "" && t.ID != "" {
		subject += "/"
	}
	return strings.Map(plain, subject+t.ID)
}

// plain replaces what a CloudEvents String must not have: control characters and
// noncharacters (CloudEvents 1.0, section 3.1, Type System).
func plain(r rune) rune {
	switch {
	case r <= 0x1f, 0x7f <= r && r <= 0x9f, 0xfdd0 <= r && r <= 0xfdef, r&0xfffe == 0xfffe:
		return '\uFFFD'
	}
	return r
}
