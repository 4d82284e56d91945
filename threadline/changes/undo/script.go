package undo

import (
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// Script is the SQL that would reverse changes. It is to be read, and then to be executed by the app,
// or by a person with psql, or SQLite's shell: this package never executes it.
//
// It is for the rows as the changes that are undone have left them. Each statement finds its row by the key and by the
// values that the change has left there, and must affect as many rows as [Statement.Rows] says. If it affects another
// number, the row was changed since, and the transaction must be rolled back. So a Script that is executed late, twice, or
// in spite of its Conflicts destroys nothing.
type Script struct {
	// Cause names the transaction that is undone, of several the first: its XID, "@", and when it
	// began. It is to be the CausationID of the event that the app records with the undo.
	Cause string
	// Statements are to be executed in this order, in one transaction. There are none if there are
	// Refusals, or if nothing is left to undo.
	Statements []Statement
	// Conflicts are what is in the way now. With one, a statement would fail, or affect no row, or undo only the first of
	// several changes of a field.
	Conflicts []Conflict
	// Refusals say why there can be no undo.
	Refusals []Refusal
	// Triggers are those of the app that would fire again.
	Triggers []string
	// Warnings are about what the history does not know, what is not looked up, and rules that rewrite statements.
	Warnings []string

	title  string
	speaks hooks.Dialect
}

// Statement is a statement of a [Script].
type Statement struct {
	SQL string
	// Rows is how many rows it must affect: what [sql.Result.RowsAffected] returns, also of SELECT.
	Rows int64
	// Comment says what it undoes.
	Comment string
	// Unchecked are the columns of which the statement cannot tell whether they were changed since,
	// because no value was kept: they are masked, excluded, shortened, or newer than the change.
	Unchecked []string

	counted string // the same in PL/pgSQL if it has several parts: it sets undo_rows to how many rows they have affected
}

// String returns the undo as a script for psql, or on SQLite for its shell, which changes nothing unless it can change
// all: each statement is in a block that raises an error if it affects another number of rows, or has such a statement behind it.
func (u *Script) String() string {
	var b strings.Builder
	comment := func(format string, args ...any) {
		b.WriteString(pgtext.Comment(fmt.Sprintf(format, args...)))
	}
	comment("Undo of %s. Cause: %s", u.title, u.Cause)
	for _, r := range u.Refusals {
		comment("Refused: %s", r)
	}
	for _, c := range u.Conflicts {
		comment("Conflict: %s", c)
	}
	for _, t := range u.Triggers {
		comment("Fires again: %s", t)
	}
	for _, w := range u.Warnings {
		comment("Warning: %s", w)
	}
	if len(u.Statements) == 0 {
		comment("There is nothing to execute.")
		return b.String()
	}
	begin, end := "BEGIN;\n", "COMMIT;\n"
	if u.speaks == hooks.SQLite {
		begin, end = liteBegin, liteCommit
	}
	b.WriteString(begin)
	for i, s := range u.Statements {
		if s.Comment != "" {
			comment("%s", s.Comment)
		}
		if len(s.Unchecked) > 0 {
			comment("Not compared with what the change left: %s", strings.Join(s.Unchecked, ", "))
		}
		if u.speaks == hooks.SQLite {
			b.WriteString(s.liteScript(i + 1))
		} else {
			b.WriteString(s.script(i + 1))
		}
	}
	b.WriteString(end)
	return b.String()
}

// script returns the statement in a block that fails unless it affects the right number of rows. Where a column has the name
// of the block's variable, the column is meant.
func (s *Statement) script(number int) string {
	if s.Rows == 0 {
		return s.SQL + ";\n"
	}
	body, count := s.SQL, "GET DIAGNOSTICS undo_rows = ROW_COUNT;\n"
	if s.counted != "" {
		body, count = s.counted, ""
	} else if what, is := strings.CutPrefix(body, "SELECT "); is {
		body = "PERFORM " + what
	}
	return "DO " + pgtext.DollarQuoted("undo", fmt.Sprintf("#variable_conflict use_column\nDECLARE undo_rows bigint;\nBEGIN\n%s;\n%sIF undo_rows <> %d THEN\n"+
		"RAISE EXCEPTION 'statement %d of the undo affects %% rows instead of %d: they are no longer as they were left', undo_rows;\nEND IF;\nEND\n", body, count, s.Rows, number, s.Rows)) + ";\n"
}
