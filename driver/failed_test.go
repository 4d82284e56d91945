package driver

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// stateError is an error with an SQLSTATE.
type stateError string

// Error is the state.
func (e stateError) Error() string { return string(e) }

// SQLState is what the drivers' errors have.
func (e stateError) SQLState() string { return string(e) }

// TestHalfway: which failures of statements that run in no transaction may have left
// something.
func TestHalfway(t *testing.T) {
	for _, tt := range []struct {
		query, state string
		want         bool
	}{
		{"CREATE INDEX CONCURRENTLY i ON t (a)", "23505", true},
		{"CREATE INDEX CONCURRENTLY i ON t (a)", "57014", true},
		{"CREATE INDEX CONCURRENTLY i ON t (a)", "42P01", false},
		{"ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "55P03", true},
		{"DROP DATABASE d", "57014", true}, // the database is invalid then
		{"DROP DATABASE d", "55006", false},
		{"CREATE DATABASE d", "57014", false},
		{"CREATE TABLESPACE s LOCATION '/x'", "58P01", false},
		{"CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p", "08006", false},
	} {
		stmts := lex.Parse(lex.Postgres, tt.query, "id", nil)
		if got := halfway(&stmts[0], stateError(tt.state)); got != tt.want {
			t.Errorf("%s, %s: %v", tt.query, tt.state, got)
		}
	}
}
