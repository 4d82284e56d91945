package hooks_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

func TestSQLState(t *testing.T) {
	refused := &sqltest.Error{Code: "23505", Message: "twice"}
	for want, errs := range map[string][]error{
		"23505": {refused, fmt.Errorf("wrapped: %w", refused), errors.Join(errors.New("and more"), refused)},
		"":      {nil, errors.New("23505")},
	} {
		for _, err := range errs {
			if got := hooks.SQLState(err); got != want {
				t.Errorf("SQLState(%v) = %q, want %q", err, got, want)
			}
		}
	}
}
