package hooks

import "errors"

// SQLState returns the SQLSTATE of a PostgreSQL driver's error, or "". The errors
// of lib/pq and of pgx share the method that tells it; SQLite has no such codes.
func SQLState(err error) string {
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		return e.SQLState()
	}
	return ""
}
