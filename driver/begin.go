package driver

import "strings"

// beginAround returns what begins the transaction around a statement.
//
// On SQLite a plain BEGIN takes no locks, so the statement takes the same ones as
// outside a transaction, and waits for them in the same way; its lock on main
// serves the events too. BEGIN IMMEDIATE locks every attached database. It is used
// only for a statement that writes to one of these: locking main after that one
// could be a deadlock.
func (c *conn) beginAround(j *job) string {
	if !c.sqlite() || writesMain(j) {
		return "BEGIN"
	}
	return "BEGIN IMMEDIATE"
}

// writesMain reports whether statements write to main and temp only.
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
