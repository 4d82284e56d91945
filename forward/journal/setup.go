package journal

// condition is the state in which the journal's tables were found.
type condition int8

const (
	missing condition = iota
	outdated
	usable
)

// SetupError says that the journal's tables are not as they must be, and what
// to run.
type SetupError struct {
	// Problem is what is wrong.
	Problem string
	// Remedy is what to do about it, in a sentence.
	Remedy string
	// SQL is what to run, "" if SQL does not help.
	SQL string
	// Err is the database's error, if there was one.
	Err error

	denied bool
}

// Denied reports whether the tables are there, and the role lacks rights on them.
func (e *SetupError) Denied() bool { return e.denied }

// Error gives the problem, the database's error if there is one, and the remedy.
// SQL is not repeated in it.
func (e *SetupError) Error() string {
	s := "journal: " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + ": " + e.Remedy
}

// Unwrap returns the database's error.
func (e *SetupError) Unwrap() error { return e.Err }
