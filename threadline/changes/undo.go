package changes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// MostUndone is how many changes one [Undo] can have, since it is made in memory. Those of a transaction can have
// [MostBytes] of values.
const MostUndone = 10_000

// ErrTooMany is returned for more.
var ErrTooMany = fmt.Errorf("changes: there are more than %d changes to undo, or more than %d MiB of values", MostUndone, MostBytes>>20)

// ErrNoChange is returned where there is no such change, or transaction, in the history.
var ErrNoChange = errors.New("changes: the history has no such change")

// Undo is the SQL that would reverse changes. It is to be read, and then to be executed by the app,
// or by a person with psql, or SQLite's shell: this package never executes it.
//
// It is for the rows as they were left by what is undone. Each statement names the row by its key
// and by the values that the change has left there, and must affect as many rows as
// [Statement.Rows] says. If it affects another number, the row was changed since, and the
// transaction must be rolled back. So an Undo that is executed late, twice, or in spite of its
// Conflicts destroys nothing.
type Undo struct {
	// Cause names the transaction that is undone, of several the first: its XID, "@", and when it
	// began. It is to be the CausationID of the event that the app records with the undo.
	Cause string
	// Statements are to be executed in this order, in one transaction. There are none if there are
	// Refusals, or if nothing is left to undo.
	Statements []Statement
	// Conflicts are what is in the way now. The statements would fail, or affect no row, or undo
	// only the first of several changes of a field.
	Conflicts []Conflict
	// Refusals say why there can be no Undo.
	Refusals []Refusal
	// Triggers are those of the app that would fire again.
	Triggers []string
	// Warnings are about what the history does not know.
	Warnings []string

	title  string
	speaks hooks.Dialect
}

// Statement is a statement of an [Undo].
type Statement struct {
	SQL string
	// Rows is how many rows it must affect: what [sql.Result.RowsAffected] returns, also of SELECT.
	Rows int64
	// Comment says what it undoes.
	Comment string
	// Unchecked are the columns of which the statement cannot tell whether they were changed since,
	// because no value was kept: they are masked, excluded, cut, or newer than the change.
	Unchecked []string

	counted string // in PL/pgSQL, if it has several parts: sets undo_rows
}

// Refusal says why something cannot be undone.
type Refusal struct {
	Table   string // qualified, in quotes
	Key     []string
	Columns []string // those whose values are not known, if it is because of them
	Reason  string
}

// String returns the refusal for people.
func (r Refusal) String() string {
	s := nameOf(r.Table, r.Key)
	if len(r.Columns) > 0 {
		s += ": " + strings.Join(r.Columns, ", ")
	}
	return s + ": " + r.Reason
}

// ConflictKind is what is in the way of an [Undo].
type ConflictKind string

// The kinds of conflicts.
const (
	ChangedLater  ConflictKind = "changed later"  // values are no longer those that were left: by later changes in the history
	Differs       ConflictKind = "differs"        // and the history does not know by which change
	RowGone       ConflictKind = "row gone"       // the row is not there
	KeyTaken      ConflictKind = "key taken"      // another row has the key, or the values of another unique index
	ParentMissing ConflictKind = "parent missing" // the row that a foreign key refers to is not there
	StillReferred ConflictKind = "still referred" // rows refer to one that would be deleted, or have another key
	NotAllowed    ConflictKind = "not allowed"    // by a NOT NULL or a CHECK, or no partition is for the row
)

// Conflict is something that is in the way of an [Undo] now.
type Conflict struct {
	Kind  ConflictKind
	Table string   // of the row that would be changed: qualified, in quotes
	Key   []string // of that row, as the change left it
	// Columns are those that are concerned.
	Columns []string
	// Is is what is there: the values of Columns, or the row that is in the way.
	Is string
	// Later are the later changes that have done it, the oldest first, 20 at most.
	Later []Change
}

// String returns the conflict for people.
func (c Conflict) String() string {
	s := nameOf(c.Table, c.Key)
	if len(c.Columns) > 0 {
		s += ": " + strings.Join(c.Columns, ", ")
	}
	s += ": " + string(c.Kind)
	if c.Is != "" {
		s += ": " + c.Is
	}
	for i := range c.Later {
		l := &c.Later[i]
		s += fmt.Sprintf("; %s in transaction %d at %s", l.Op, l.XID, l.CapturedAt.Format(time.RFC3339Nano))
		if l.By != nil {
			s += " by " + l.By.String()
		}
	}
	return s
}

func nameOf(table string, key []string) string {
	if key == nil {
		return table
	}
	return table + " (" + strings.Join(key, ", ") + ")"
}

// String returns the undo as a script for psql, or on SQLite for its shell, which changes nothing unless it can change
// all: each statement is in a block that raises an error if it affects another number of rows, or has such a statement behind it.
func (u *Undo) String() string {
	var b strings.Builder
	comment := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		b.WriteString("-- " + strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(text) + "\n")
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

// script returns the statement in a block that fails unless it affects the right number of rows.
// The names of its columns come before that of the block's variable.
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

// UndoTransaction returns the undo of all changes of a transaction, by [Change.XID] and [Change.TxStartedAt], which SQLite
// does not need. What a row was before the transaction is restored by one statement, however often the transaction has
// changed it.
func (s *Store) UndoTransaction(ctx context.Context, xid int64, startedAt time.Time) (*Undo, error) {
	title := fmt.Sprintf("transaction %d", xid)
	if s.catalog.Dialect != hooks.SQLite { // where the number tells it from all others
		title += ", begun at " + startedAt.UTC().Format(time.RFC3339Nano)
	}
	return s.undo(ctx, title, func(r *undoer) ([]*chain, error) { return r.transaction(ctx, xid, startedAt) })
}

// UndoChange returns the undo of one change, which [Store.History] or another query has returned. What
// else its transaction has changed stays, including what foreign keys did.
func (s *Store) UndoChange(ctx context.Context, c Change) (*Undo, error) {
	return s.undo(ctx, "the "+title(&c), func(r *undoer) ([]*chain, error) { return r.one(ctx, &c) })
}

// UndoRow returns the undo of what happened to a row after a moment: of what comes, in the order of its changes, after the last
// one whose CapturedAt is not later. Where the clock was set back, one with a later CapturedAt may be before that. The row is the
// one that has the key now, or had it last. Other rows stay.
func (s *Store) UndoRow(ctx context.Context, table string, to time.Time, key ...string) (*Undo, error) {
	if len(key) == 0 {
		return nil, fmt.Errorf("changes: UndoRow needs the key of a row of %s", table)
	}
	to = bounded(to)
	title := fmt.Sprintf("the changes of %s after %s", nameOf(table, key), to.UTC().Format(time.RFC3339Nano))
	return s.undo(ctx, title, func(r *undoer) ([]*chain, error) { return r.since(ctx, table, key, to) })
}

// UndoRowTo returns the undo of what happened to a row after a change of it: it leads to the row as
// that change left it.
func (s *Store) UndoRowTo(ctx context.Context, c Change) (*Undo, error) {
	if c.Key == nil {
		return nil, errors.New("changes: UndoRowTo needs a change of a row with a key")
	}
	return s.undo(ctx, "what came after the "+title(&c), func(r *undoer) ([]*chain, error) { return r.sinceChange(ctx, &c) })
}

// title names a change for people.
func title(c *Change) string {
	return fmt.Sprintf("%s of %s at %s in transaction %d", c.Op, nameOf(pgschema.Ident(c.Schema)+"."+pgschema.Ident(c.Table), c.Key), c.CapturedAt.UTC().Format(time.RFC3339Nano), c.XID)
}
