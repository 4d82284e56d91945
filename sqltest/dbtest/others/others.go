// Package others holds wrapping drivers that others wrote, as their users have
// them who want nothing of them yet: what they cost is what wrapping costs.
package others

import (
	"context"
	"database/sql/driver"

	"github.com/XSAM/otelsql"
	"github.com/ngrok/sqlmw"
	"github.com/qustavo/sqlhooks/v2"
)

// Wrapper is one of them.
type Wrapper struct {
	Name string
	Wrap func(driver.Driver) driver.Driver
}

// Wrappers returns all.
func Wrappers() []Wrapper {
	return []Wrapper{
		{"sqlmw", func(d driver.Driver) driver.Driver { return sqlmw.Driver(d, sqlmw.NullInterceptor{}) }},
		{"otelsql", func(d driver.Driver) driver.Driver { return otelsql.WrapDriver(d) }},
		{"sqlhooks", func(d driver.Driver) driver.Driver { return sqlhooks.Wrap(d, NoHooks{}) }},
	}
}

// NoHooks are hooks for sqlhooks that do nothing.
type NoHooks struct{}

// Before does nothing.
func (NoHooks) Before(ctx context.Context, _ string, _ ...any) (context.Context, error) {
	return ctx, nil
}

// After does nothing.
func (NoHooks) After(ctx context.Context, _ string, _ ...any) (context.Context, error) {
	return ctx, nil
}
