// Package eventjson encodes events as JSON, and decodes them: each event in the form that the tags of
// [hooks.Event] describe, in ASCII, with \u escapes for what is not. A server and a session
// may each have another encoding, so that only ASCII reaches a text column unchanged in all of
// them.
//
// It appends to a buffer, without reflection, because the app waits for it in its COMMIT.
// encoding/json decodes what it has encoded to the same event; Decode does, and also reads what is
// damaged as far as it can.
//
// The columns of the journal's views and of the timeline list an event's fields again: the
// section on adding one in CONTRIBUTING.md has all places.
package eventjson
