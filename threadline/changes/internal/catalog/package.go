package catalog

import "strings"

// packageError is an error that names another package.
type packageError struct {
	text string
	err  error
}

func (e *packageError) Error() string { return e.text }
func (e *packageError) Unwrap() error { return e.err }

// InPackage returns an error that begins with the name of package changes as one that begins with prefix: that of the package that the
// program has called, or "" within another error.
func InPackage(prefix string, err error) error {
	if err == nil {
		return nil
	}
	text, is := strings.CutPrefix(err.Error(), "changes: ")
	if !is {
		return err
	}
	return &packageError{prefix + text, err}
}
