package journal

// condition is the state in which the journal's tables were found.
type condition int8

const (
	missing     condition = iota
	dropped               // the tables are missing, and views are left; on SQLite
	triggerless           // the view that is written has no trigger; on SQLite
	outdated
	usable
)

// stable returns what look sees of the tables, and what check makes of it. A look takes two
// statements: if another process commits an upgrade between them, it has seen the tables from
// before and the version from after. So an error counts only if two looks have seen the same.
func stable[S comparable](look func() (S, error), check func(S) (condition, error)) (seen S, found condition, err error) {
	for {
		before := seen
		if seen, err = look(); err != nil {
			return seen, missing, err
		}
		if found, err = check(seen); err == nil || seen == before {
			return seen, found, err
		}
	}
}

// partsMissing is the remedy where they are. It deletes nothing, since what is left may be all
// that there is of the trail.
const partsMissing = "restore them from a backup, or begin another journal with another name in Options.Schema; delete nothing of this one: what is left belongs to the audit trail"

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
