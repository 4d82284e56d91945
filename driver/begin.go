package driver

import "strings"

// beginAround returns what begins the transaction around a statement.
//
// On SQLite a plain BEGIN locks nothing. The statement, which comes first, then
// takes the locks that it takes on its own, and waits for them as it does then;
// those of the main database serve the events too. BEGIN IMMEDIATE would lock all
// databases that are attached. It remains for a statement that writes to one of
// these: to lock the main one only after it could be a deadlock.
func (c *conn) beginAround(j *job) string {
	if c.postgres() || writesMain(j) {
		return "BEGIN"
	}
	return "BEGIN IMMEDIATE"
}

// writesMain reports whether statements write to no database that is attached.
func writesMain(j *job) bool {
	for i := range j.stmts {
		for _, t := range j.stmts[i].Tables {
			switch strings.ToLower(j.names.of(i, t).steps[0].Schema) {
			case "", "main", "temp":
			default:
				return false
			}
		}
	}
	return true
}
