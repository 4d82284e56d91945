package river

import "github.com/go-aftercommit/aftercommit/internal/pgtext"

// River stores the texts of jobs and of errors as JSON, over a connection that may have
// another encoding than the server. A text that PostgreSQL refuses would make the app's
// COMMIT fail, and of an attempt's result even more: River stores the results of all jobs
// of a process in one statement, and gives up on all if it fails. So each text that River
// gets here is written in ASCII.

// storable is an error with a text that every server can store.
type storable struct{ error }

// Error writes what is not ASCII as <U+0142>.
func (s storable) Error() string { return pgtext.Written(s.error.Error()) }

// Unwrap is for River's ErrorHandler.
func (s storable) Unwrap() error { return s.error }

// storableError returns nil for nil.
func storableError(err error) error {
	if err == nil {
		return nil
	}
	return storable{err}
}
