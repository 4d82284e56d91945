package hooks

import "errors"

// SQLState returns the SQLSTATE of a PostgreSQL driver's error, or "". The errors
// of lib/pq and of pgx share the method that has it; those of lib/pq before
// v1.10.6 have it as a field of the protocol's message. SQLite has no such codes.
func SQLState(err error) string {
	if err == nil {
		return ""
	}
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		return e.SQLState()
	}
	var old interface{ Get(field byte) string }
	if errors.As(err, &old) {
		return old.Get('C')
	}
	return ""
}
