package hooks_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// state is an error as those of lib/pq and pgx are.
type state string

func (s state) Error() string    { return "state " + string(s) }
func (s state) SQLState() string { return string(s) }

// message is an error as those of old versions of lib/pq are.
type message map[byte]string

func (m message) Error() string     { return m['M'] }
func (m message) Get(k byte) string { return m[k] }

func TestSQLState(t *testing.T) {
	refused := state("23505")
	for want, errs := range map[string][]error{
		"23505": {refused, fmt.Errorf("wrapped: %w", refused), errors.Join(errors.New("and more"), refused)},
		"40001": {message{'C': "40001"}, fmt.Errorf("wrapped: %w", message{'C': "40001"})},
		"":      {nil, errors.New("23505")},
	} {
		for _, err := range errs {
			if got := hooks.SQLState(err); got != want {
				t.Errorf("SQLState(%v) = %q, want %q", err, got, want)
			}
		}
	}
}
