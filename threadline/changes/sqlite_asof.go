package changes

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// ofAnyClass calls f with each key that the texts in key may mean, since a text does not say its storage class. It returns the row
// that there was, or else one of the errors: rather one that it is not known than [ErrGone], and rather that than [ErrNotYet].
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
