package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// keyError is why the columns of Table.Key cannot be the key.
type keyError struct{ reason string }

func (e *keyError) Error() string { return e.reason }

// wantKept applies what is wanted of a table. If Table.Key cannot be the key, such as after a migration that dropped its
// index, it goes on without: what is to be masked must not wait for the key. The note of the capture has Table.Key all the
// same, so that it is used again once it can be.
func (f *target) wantKept(ctx context.Context, q pgschema.Querier, t Table) (warning string, err error) {
	primary := f.Key
	err = f.want(ctx, q, t)
	var no *keyError
	if !errors.As(err, &no) {
		return "", err
	}
	key := t.Key
	t.Key, f.Key, f.declared = nil, primary, nil
	if err = f.want(ctx, q, t); err != nil {
		return "", err
	}
	f.declared = key
	instead := "its rows are kept whole"
	if f.Keyed() {
		instead = "its primary key is used"
	}
	return fmt.Sprintf("%s: %s: until it can be the key, %s", f.Qualified(), no.reason, instead), nil
}
