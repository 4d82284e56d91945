package threadline

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/internal/otherdialect"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// Record adds entries to the timeline, all or none, by one statement however
// many they are. An entry whose event the timeline has already is left as it is,
// so that a second delivery changes nothing.
//
// There is one exception on PostgreSQL: it does not wait for other transactions that are
// writing entries of the same IDs. Those entries it leaves out, and names in an
// error of type [*HeldError]; the others are written.
//
// On PostgreSQL the statement has no parameters: that makes it one round trip
// and no prepared statement with lib/pq and with pgx, so it passes PgBouncer in
// any mode. It needs EXECUTE on the function record, and no other right.
//
// Characters that the server's encoding lacks are written as <U+1F600>, and the
// fields that had some are listed under "altered" in the metadata.
func (s *Store) Record(ctx context.Context, entries []journal.Entry) error {
	if err := s.known(); err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	doc, err := encode(entries, !s.dialect.ascii())
	if err != nil {
		return err
	}
	held, err := s.dialect.add(ctx, s, doc)
	if isLacking(err) {
		held, err = s.addWritten(ctx, entries, err)
	}
	if err == nil && held {
		err = s.held(ctx, entries)
	}
	return s.explain(ctx, "record", err)
}

// addWritten adds entries after the server refused them for characters outside its encoding,
// which it writes as <U+1F600>. Functions of an earlier version take all escapes for such
// characters on servers that are not UTF-8, so it tries first without these. Within a
// transaction, which that error has aborted, it cannot, and returns refused.
func (s *Store) addWritten(ctx context.Context, entries []journal.Entry, refused error) (held bool, err error) {
	doc, err := encode(entries, true)
	if err != nil {
		return false, err
	}
	if !pgtext.IsASCII(doc) {
		if held, err = s.dialect.add(ctx, s, doc); err == nil {
			return held, nil
		}
	}
	lacks, err := s.lacking(ctx, doc)
	if err != nil {
		return false, refused
	}
	if doc, err = storable(doc, lacks); err != nil {
		return false, refused
	}
	return s.dialect.add(ctx, s, doc)
}

// entryError is what is wrong with one entry before the database has seen it.
type entryError struct {
	id  uuid.UUID
	err error
}

func (e *entryError) Error() string { return fmt.Sprintf("threadline: event %s: %v", e.id, e.err) }

func (e *entryError) Unwrap() error { return e.err }

// encode returns entries as a JSON array for the function record, in ASCII or in UTF-8.
func encode(entries []journal.Entry, utf8 bool) (_ string, err error) {
	const usual = 512 // bytes for an entry
	b := append(make([]byte, 0, usual*len(entries)), '[')
	for i := range entries {
		e := &entries[i]
		if i > 0 {
			b = append(b, ',')
		}
		switch {
		case e.ID == uuid.Nil:
			err = errors.New("its id is empty")
		case e.Change != nil:
			err = errors.New("it is a row change, which Record does not keep: pass it to Forwarder.Forward")
		case e.Unreadable != "":
			err = errors.New("it is unreadable where it comes from: " + e.Unreadable)
		default:
			b, err = appendEntry(b, e, utf8)
		}
		if err != nil {
			return "", &entryError{e.ID, err}
		}
	}
	return string(append(b, ']')), nil
}

// explain adds to a database's error what was tried and, where the tables or
// rights are what is missing, what to do.
func (s *Store) explain(ctx context.Context, what string, err error) error {
	other := otherdialect.Explain(s.speaks, "threadline.NewStore", err)
	switch {
	case err == nil:
		return nil
	case other != nil:
		return fmt.Errorf("threadline: %s: %w", what, other)
	case isMismatch(err):
		return fmt.Errorf("threadline: %s: %w (Store.Check says what is missing, Store.Migrate makes it)", what, err)
	case pgschema.Denied(err):
		roles := pgschema.Ask(ctx, s.db, s.names.schema)
		right := "SELECT ON " + s.names.actions
		if what == "record" {
			right = "EXECUTE ON FUNCTION " + s.names.record + "(json)"
		}
		return fmt.Errorf("threadline: %s: %w: %s lacks a right in the schema %s: %s", what, err, roles.Who(), s.names.schema, s.grant(roles, right))
	default:
		return fmt.Errorf("threadline: %s: %w", what, err)
	}
}

// grant says how a role gets the rights that it lacks.
func (s *Store) grant(roles pgschema.Roles, right string) string {
	return "run as " + roles.Whose() + ": " + roles.Grant("GRANT USAGE ON SCHEMA "+pgschema.Ident(s.names.schema)+" TO {role}; GRANT "+right+" TO {role}")
}
