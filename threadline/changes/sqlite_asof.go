package changes

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// ofAnyClass calls f with each of the keys that a row may have whose values are those of key: their storage classes are not
// in it. It returns the row that there was, or else the error that says the least.
func (s sqlite) ofAnyClass(ctx context.Context, q catalog.Querier, key []string, f func(key []string) (*Row, error)) (*Row, error) {
	keys, err := s.Keys(ctx, q, key)
	if err != nil {
		return nil, err
	}
	var found *Row
	var worst error
	for _, typed := range keys {
		row, err := f(typed)
		var unknown *AsOfError
		switch {
		case err == nil && found != nil:
			return nil, fmt.Errorf("changes: several rows have the key (%s), in different storage classes: ask for their changes", strings.Join(key, ", "))
		case err == nil:
			found = row
		case !errors.As(err, &unknown):
			return nil, err
		case worst == nil, errors.Is(worst, ErrNotYet), errors.Is(worst, ErrGone) && !errors.Is(err, ErrNotYet):
			worst = err
		}
	}
	if found == nil {
		return nil, worst
	}
	return found, nil
}
