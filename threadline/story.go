package threadline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// Story is one transaction: what the app meant, which statements the driver saw, and which rows the
// triggers saw change. No change is in two of its lists.
type Story struct {
	Tx journal.TxKey
	// By says who made its changes, nil if it has none.
	By *changes.Attribution
	// Recorded are the events that the app has recorded: what it meant, and why.
	Recorded []Action
	// Statements are the captured events, in the order of the transaction.
	Statements []Statement
	// Shared are changes that several of the statements may have made.
	Shared []Shared
	// Nested are changes by triggers and foreign keys.
	Nested []changes.Change
	// Unseen are changes by statements of which there is no event: those of functions, of SQL that is
	// not captured, and of programs without the wrapped driver. On SQLite, where Nested is empty, those by triggers and
	// foreign keys are among them, if no statement may have made them.
	Unseen []changes.Change
	// Differences are where the driver and the triggers have counted differently.
	Differences []Difference
	// Lost are changes that a trigger could not keep.
	Lost []changes.Loss
	// More says that the transaction has more events or changes than [MaxTold]: the rest is
	// left out, and Differences too.
	More bool

	mixed bool // as in tables
}

// Statement is a captured event, of one statement or several that did the same, with what it
// has changed: changes that it may have made and, as far as the numbers of rows show, no other statement. If it names its
// row by a column that is not in the table's key ([changes.Change.KeyColumns]), an update of other columns does not show
// whether it is of that row.
type Statement struct {
	Action
	Changes []changes.Change
}

// Shared are changes, and which of Story.Statements may have made them: the rows that they count do not say
// which, or there are more changes.
type Shared struct {
	Statements []int
	Changes    []changes.Change
}

// Difference is a difference between the rows that statements have written, as the database reported them to the driver, and
// the changes that triggers have kept.
type Difference struct {
	// Statements are of Story.Statements.
	Statements []int
	// Rows is how many the driver has counted, Changes how many changes were kept.
	Rows, Changes int
	// Expected says that Reason, an ordinary one, explains it.
	Expected bool
	Reason   string
}

// opsOf are the operations that a captured event may be about, by its verb.
var opsOf = map[string][]changes.Op{
	"inserted":  {changes.Insert},
	"updated":   {changes.Update},
	"deleted":   {changes.Delete},
	"truncated": {changes.Truncate},
	"upserted":  {changes.Insert, changes.Update, changes.Delete}, // SQLite's REPLACE deletes
	"merged":    {changes.Insert, changes.Update, changes.Delete},
}

// tables are those whose changes a transaction's story is about.
type tables struct {
	captured map[string]bool
	// mixed says that changes do not show which of them triggers and foreign keys have made, and that the rows that
	// REPLACE removes are among them. So it is on SQLite.
	mixed bool
	// reached has the other tables of which a statement on one may change rows; see [changes.Store.Reached].
	reached map[string][]string
}

// of are the tables of which a statement on this one may change rows, itself first.
func (t *tables) of(table string) []string { return append([]string{table}, t.reached[table]...) }

// mayHaveMade reports whether a captured event can be about a change.
func (t *tables) mayHaveMade(a *Action, c *changes.Change) bool {
	table := tableName(c.Schema, c.Table)
	if a.Target.Type != table && !slices.Contains(t.reached[a.Target.Type], table) || !slices.Contains(opsOf[a.Verb()], c.Op) {
		return false
	}
	if a.Target.ID == "" {
		return true
	}
	is, known := a.names(c)
	return is || !known
}

// tableName is the name of a table as captured events have it: with its schema, unless that is the
// default one.
func tableName(schema, table string) string {
	if schema == "public" || schema == "main" || schema == "" {
		return table
	}
	return schema + "." + table
}

// rows is how many rows a captured event counts, and whether it counts them.
func (a *Action) rows() (n int, counted bool) {
	switch v := a.Metadata["rows"].(type) {
	case json.Number:
		i, err := v.Int64()
		return int(i), err == nil
	case float64:
		return int(v), true
	case int:
		return v, true
	}
	return 0, false
}

// tell makes the story of a transaction's events and changes. Both are in order.
func tell(tx journal.TxKey, actions []Action, made *changes.Transaction, tables *tables) *Story {
	s := &Story{Tx: tx, Lost: made.Lost, mixed: tables.mixed}
	for _, a := range actions {
		if a.Captured {
			s.Statements = append(s.Statements, Statement{Action: a})
		} else {
			s.Recorded = append(s.Recorded, a)
		}
	}
	makers := newMakers(s.Statements, tables)
	var own []changes.Change
	var of []int // one of the statements that may have made each of own
	for _, c := range made.Changes {
		if c.Nested || c.ForeignKey != "" {
			s.Nested = append(s.Nested, c)
			continue
		}
		one, ok := makers.of(&c)
		if !ok {
			s.Unseen = append(s.Unseen, c)
			continue
		}
		own, of = append(own, c), append(of, one)
	}
	theirs := make(map[int][]changes.Change)
	for i, c := range own {
		g := makers.groups.of(of[i])
		theirs[g] = append(theirs[g], c)
	}
	lost := make(map[string]bool)
	for _, l := range s.Lost {
		lost[tableName(l.Schema, l.Table)] = true
	}
	for _, members := range makers.groups.all() {
		list := theirs[makers.groups.of(members[0])]
		s.share(members, list, tables)
		s.compare(members, list, tables, lost)
	}
	return s
}

// share gives changes to the statements that may have made them, if it is certain which has made
// which.
func (s *Story) share(members []int, theirs []changes.Change, tables *tables) {
	switch {
	case len(theirs) == 0:
	case len(members) == 1 && !s.tooMany(members[0], theirs):
		s.Statements[members[0]].Changes = theirs
	case len(members) == 1 || !s.inTurn(members, theirs, tables):
		s.Shared = append(s.Shared, Shared{members, theirs})
	}
}

// tooMany reports whether a statement counts fewer rows than have changed.
func (s *Story) tooMany(member int, changed []changes.Change) bool {
	a := &s.Statements[member].Action
	n, counted := a.rows()
	for i := range changed {
		if s.counts(a, &changed[i]) {
			n--
		}
	}
	return counted && n < 0
}

// counts reports whether the rows that a statement counts include a change that it has made. They do not include the rows
// that SQLite's REPLACE removes.
func (s *Story) counts(a *Action, c *changes.Change) bool {
	return !s.mixed || a.Verb() != "upserted" || c.Op != changes.Delete
}

// inTurn gives changes to statements in turn, each as many as it counts rows, if that uses up all
// and each may have made its own: statements about the same rows are in the order of their events.
func (s *Story) inTurn(members []int, theirs []changes.Change, tables *tables) bool {
	parts, from := make([][]changes.Change, len(members)), 0
	for i, m := range members {
		a := &s.Statements[m].Action
		n, counted := a.rows()
		if !counted || slices.Contains(a.Marks(), "interleaved") {
			return false
		}
		begins := from
		for ; n > 0; from++ {
			if from == len(theirs) || !tables.mayHaveMade(a, &theirs[from]) {
				return false
			}
			// Statements on rows with different IDs are in no order.
			if _, known := a.names(&theirs[from]); a.Target.ID != "" && !known {
				return false
			}
			if s.counts(a, &theirs[from]) {
				n--
			}
		}
		parts[i] = theirs[begins:from]
	}
	if from < len(theirs) {
		return false
	}
	for i, m := range members {
		s.Statements[m].Changes = parts[i]
	}
	return true
}

// compare notes where statements count other rows than have changed.
func (s *Story) compare(members []int, theirs []changes.Change, tables *tables, lost map[string]bool) {
	rows, counted, rewritten, kept := 0, true, 0, len(theirs)
	replaced := 0 // at most
	for _, m := range members {
		a := &s.Statements[m].Action
		n, ok := a.rows()
		rows, counted = rows+n, counted && ok
		uncounted := 0
		for i := range theirs {
			if !s.counts(a, &theirs[i]) {
				uncounted++
			}
		}
		replaced = max(replaced, uncounted)
		if slices.Contains(opsOf[a.Verb()], changes.Update) {
			rewritten += n
		}
	}
	d := Difference{Statements: members, Rows: rows, Changes: kept}
	table := s.Statements[members[0]].Target.Type
	switch {
	case !counted || rows <= kept && rows >= kept-replaced:
		return
	case !slices.ContainsFunc(tables.of(table), func(t string) bool { return tables.captured[t] }):
		d.Expected, d.Reason = true, "the row changes of "+table+" are not captured"
	case slices.ContainsFunc(tables.of(table), func(t string) bool { return lost[t] }):
		d.Reason = "a trigger could not keep changes of " + table + ": see what was lost"
	case rows > kept && rows-kept <= rewritten:
		d.Expected, d.Reason = true, plural(rows-kept, "row")+" got the values that they had, in all columns that are captured"
	case rows > kept:
		why := "it was disabled, or the session replicates (session_replication_role), or capture began in between"
		if s.mixed {
			why = "there was none, or capture began in between"
		}
		d.Reason = "no trigger saw " + plural(rows-kept, "row") + ": " + why
	default:
		why := "a function that they call, or a foreign key, may have made them"
		if s.mixed {
			why = "a trigger or a foreign key may have made them"
		}
		d.Reason = plural(kept-rows, "change") + " more than the statements count: " + why
	}
	s.Differences = append(s.Differences, d)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// String returns the story in several lines, for logs and terminals.
func (s *Story) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "transaction %d, begun %s", s.Tx.ID, s.Tx.StartedAt.UTC().Format(time.RFC3339))
	if s.By != nil {
		fmt.Fprintf(&b, ", by %s", s.By)
	}
	b.WriteByte('\n')
	for _, a := range s.Recorded {
		fmt.Fprintf(&b, "  %s", a)
		if a.Reason != "" {
			fmt.Fprintf(&b, ": %s", a.Reason)
		}
		b.WriteByte('\n')
	}
	for _, t := range s.Statements {
		fmt.Fprintf(&b, "  %s\n", t.Action)
		write(&b, t.Changes)
	}
	for _, g := range s.Shared {
		names := make([]string, len(g.Statements))
		for i, m := range g.Statements {
			names[i] = s.Statements[m].Action.Action
		}
		fmt.Fprintf(&b, "  by one of %s\n", strings.Join(names, ", "))
		write(&b, g.Changes)
	}
	unseen := "by statements without an event"
	if s.mixed {
		unseen += ", triggers or foreign keys"
	}
	for _, part := range []struct {
		title string
		list  []changes.Change
	}{{"by triggers and foreign keys", s.Nested}, {unseen, s.Unseen}} {
		if len(part.list) > 0 {
			fmt.Fprintf(&b, "  %s\n", part.title)
			write(&b, part.list)
		}
	}
	for _, d := range s.Differences {
		names := make([]string, len(d.Statements))
		for i, m := range d.Statements {
			names[i] = s.Statements[m].Action.Action
		}
		fmt.Fprintf(&b, "  %s: %s, %s: %s\n", strings.Join(names, ", "), plural(d.Rows, "row"), plural(d.Changes, "change"), d.Reason)
	}
	for _, l := range s.Lost {
		times := ""
		if l.Count > 1 {
			times = fmt.Sprintf("%d times ", l.Count)
		}
		fmt.Fprintf(&b, "  lost: %s%s %s: %s\n", times, l.Op, tableName(l.Schema, l.Table), l.Reason)
	}
	if s.More {
		b.WriteString("  and more\n")
	}
	return b.String()
}

func write(b *strings.Builder, list []changes.Change) {
	for i := range list {
		c := &list[i]
		fmt.Fprintf(b, "    %s %s", c.Op, tableName(c.Schema, c.Table))
		if c.Key != nil {
			fmt.Fprintf(b, " [%s]", strings.Join(c.Key, ", "))
		}
		if c.ForeignKey != "" {
			fmt.Fprintf(b, " (foreign key %s)", c.ForeignKey)
		}
		if texts := c.FieldTexts(); len(texts) > 0 {
			b.WriteString(": " + strings.Join(texts, "; "))
		}
		if c.Drifted {
			b.WriteString(" (the whole row was kept)")
		}
		b.WriteByte('\n')
	}
}
