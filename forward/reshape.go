package forward

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-aftercommit/aftercommit/hooks"
)

var _ hooks.Reshaper = (*handler)(nil)

// BeforeSchema implements [hooks.Reshaper], by the keepers that do.
func (d *handler) BeforeSchema(ctx context.Context, conn *sql.DB, table string) error {
	return d.reshape(func(r hooks.Reshaper) error { return r.BeforeSchema(ctx, conn, table) })
}

// AfterSchema implements [hooks.Reshaper].
func (d *handler) AfterSchema(ctx context.Context, conn *sql.DB) error {
	return d.reshape(func(r hooks.Reshaper) error { return r.AfterSchema(ctx, conn) })
}

func (d *handler) reshape(call func(hooks.Reshaper) error) error {
	var errs []error
	for _, k := range d.keeping.keepers {
		if r, ok := k.(hooks.Reshaper); ok {
			errs = append(errs, reshapeOne(call, r))
		}
	}
	return errors.Join(errs...)
}

// reshapeOne lets the other keepers go on behind one that panics.
func reshapeOne(call func(hooks.Reshaper) error, r hooks.Reshaper) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("forward: panic in %T: %v", r, v)
		}
	}()
	return call(r)
}
