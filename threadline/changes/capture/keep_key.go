package capture

import (
	"errors"
	"fmt"
	"strings"
)

// keyError is why the columns of Table.Key cannot be the key.
type keyError struct{ reason error }

func (e *keyError) Error() string { return e.reason.Error() }
func (e *keyError) Unwrap() error { return e.reason }

// wantKept applies what is wanted of a table, by want. If Table.Key cannot be the key, such as after a migration that dropped its
// index, it goes on without: what is to be masked must not wait for the key. The note of the capture has Table.Key all the
// same, so that it is used again once it can be.
func (f *target) wantKept(t Table, want func(Table) error) (warning string, err error) {
	primary := f.Key
	err = want(t)
	var no *keyError
	if !errors.As(err, &no) {
		return "", err
	}
	key := t.Key
	t.Key, f.Key, f.declared = nil, primary, nil
	if err = want(t); err != nil {
		return "", err
	}
	f.declared = key
	return f.otherKey(no.Error()), nil
}

// otherKey warns that the key that was declared is not the key.
func (f *target) otherKey(reason string) string {
	instead := "its rows are kept whole"
	if f.Keyed() {
		instead = "its primary key is used"
	}
	return fmt.Sprintf("%s: until it can be the key, %s", reason, instead)
}

// wantPlanned applies what is wanted of a table, by want, with the key that was declared before if Table.Key is nil:
// a plan by someone who does not know of that key must not end the histories of all rows.
func (f *target) wantPlanned(t Table, declared []string, want func(Table) error) (warning string, err error) {
	if t.Key != nil || declared == nil {
		return "", want(t)
	}
	primary := f.Key
	t.Key = declared
	if warning, err = f.wantKept(t, want); warning == "" {
		warning = fmt.Sprintf("its key stays %s, which was named before", keyText(declared))
	}
	if primary != nil {
		warning += "; to go back to the primary key, name its columns in Key: " + strings.Join(primary, ", ")
	}
	return warning, err
}
