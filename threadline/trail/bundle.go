package trail

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// MaxTransactions is how many transactions a bundle has at most, since it holds in memory which ones it has. One that
// matches more ends with [End].Complete false.
const MaxTransactions = 10_000

// maxCompared is how many items a transaction may have so that what the driver and the triggers have counted is
// compared: for that all of them are in memory.
const maxCompared = 1000

// Bundle returns all that is known around the items that match q, for an auditor to keep: each of their transactions,
// newest first, with who made it and all that it did, whether q finds it or not; then where the histories of the tables
// involved are broken. What is not known has a line where it belongs. q must have no limit and no cursor.
//
// Bundle has a page of items in memory, and no connection while the loop's body runs. An error is the last thing that it
// yields. What commits meanwhile may be in it or not.
func (r *Reader) Bundle(ctx context.Context, q Query) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		b := &bundle{
			reader: r, query: q, yield: yield, end: End{Complete: true},
			done: make(map[journal.TxKey]bool), tables: make(map[[2]string]bool), targets: make(map[string]bool),
		}
		if err := b.write(ctx); err != nil && !b.stopped {
			yield(Line{}, err)
		}
	}
}

// WriteBundle writes what [Reader.Bundle] returns as lines of JSON, in the form of [Line], and returns the last one, which
// has a digest. After an error the file has no such line. It does not close w.
func (r *Reader) WriteBundle(ctx context.Context, w io.Writer, q Query) (*End, error) {
	out, sum := bufio.NewWriter(w), sha256.New()
	for line, err := range r.Bundle(ctx, q) {
		if err != nil {
			return nil, err
		}
		if line.End != nil {
			line.End.SHA256 = hex.EncodeToString(sum.Sum(nil))
		}
		text, err := json.Marshal(line)
		if err != nil {
			return nil, fmt.Errorf("trail: write a bundle: %w", err)
		}
		text = append(text, '\n')
		sum.Write(text)
		if _, err = out.Write(text); err != nil {
			return nil, err
		}
		if line.End != nil {
			return line.End, out.Flush()
		}
	}
	return nil, io.ErrUnexpectedEOF // not reached: without an error the last line is an End
}

// bundle is a bundle that is being made.
type bundle struct {
	reader  *Reader
	query   Query
	yield   func(Line, error) bool
	stopped bool // the loop wants no more

	// done are the transactions that it has. With false, the timeline has named no action of it: there is none, or no
	// context of the transaction is kept.
	done    map[journal.TxKey]bool
	tables  map[[2]string]bool // of row changes
	targets map[string]bool    // of captured events
	isLoose bool               // what came last is a row change that names no transaction
	end     End
}

// errStopped ends a bundle whose loop wants no more.
var errStopped = fmt.Errorf("trail: stopped")

func (b *bundle) add(line Line) error {
	if !b.yield(line, nil) {
		b.stopped = true
		return errStopped
	}
	return nil
}

func (b *bundle) unknown(reason, about string, args ...any) error {
	b.end.Unknown++
	return b.add(Line{Unknown: &Unknown{About: fmt.Sprintf(about, args...), Reason: reason}})
}

func (b *bundle) write(ctx context.Context) error {
	q := &b.query
	switch {
	case q.Limit != 0:
		return refuse("limit", "a bundle has no limit: narrow the times")
	case q.Cursor != "":
		return refuse("cursor", "a bundle begins at the top: leave it out")
	}
	if err := b.reader.validate(q); err != nil {
		return err
	}
	err := b.add(Line{Bundle: &Head{Version: 1, WrittenAt: instant(time.Now()), Query: q.allFilters()}})
	if err != nil {
		return err
	}
	for item, err := range b.reader.Each(ctx, *q) {
		if err != nil {
			return err
		}
		tx := b.key(item.Tx())
		hasActions, isDone := b.done[tx]
		switch {
		case tx.ID == 0: // an action that was forwarded from memory, or on SQLite a change of a transaction without a number
			err = b.loose(item)
		case isDone && !hasActions && item.Action != nil:
			err = b.item(item, true)
		case isDone:
			continue
		case len(b.done) == MaxTransactions:
			b.end.Complete = false
			err = b.unknown(fmt.Sprintf("there are more than %d transactions: narrow the times", MaxTransactions), "what happened before %s", instant(item.Time().Add(time.Microsecond)))
			if err != nil {
				return err
			}
			return b.finish(ctx)
		default:
			hasActions, err = b.transaction(ctx, item.Tx())
			if b.done[tx] = hasActions; err == nil && !hasActions && item.Action != nil {
				err = b.alone(item)
			}
		}
		if err != nil {
			return err
		}
	}
	return b.finish(ctx)
}

// key names a transaction in done. On SQLite the ID does, and the start that an action has is another than that of a
// change.
func (b *bundle) key(tx journal.TxKey) journal.TxKey {
	if tx.StartedAt = tx.StartedAt.UTC(); b.reader.timeline.Dialect() == hooks.SQLite {
		tx.StartedAt = time.Time{}
	}
	return tx
}

// loose adds an item that matches, and names no transaction.
func (b *bundle) loose(item Item) error {
	if item.Change != nil && !b.isLoose {
		if err := b.unknown(item.Change.By.String(), "who made the changes without a transaction's number that follow"); err != nil {
			return err
		}
	}
	err := b.item(item, true)
	b.isLoose = item.Change != nil
	return err
}

// alone adds an action that matches, of a transaction of which the timeline does not say which actions it has.
func (b *bundle) alone(item Item) error {
	tx := item.Tx()
	err := b.unknown("the timeline has kept no context of it (audit_contexts): only those of its actions that match are here", "%s", nameOf(tx))
	if err != nil {
		return err
	}
	return b.item(item, true)
}

func nameOf(tx journal.TxKey) string {
	return fmt.Sprintf("transaction %d, begun %s", tx.ID, instant(tx.StartedAt))
}

// transaction adds one with all that it did, and reports whether there are actions among that.
func (b *bundle) transaction(ctx context.Context, tx journal.TxKey) (found bool, err error) {
	b.end.Transactions++
	made := &changes.Transaction{}
	if !b.reader.ActionsOnly() {
		if made, err = b.reader.rows.Transaction(ctx, tx.ID, tx.StartedAt, 1); err != nil {
			return false, err
		}
	}
	var by *changes.Attribution
	if len(made.Changes) > 0 {
		by, tx.StartedAt = made.Changes[0].By, made.Changes[0].TxStartedAt
	}
	if err = b.add(Line{Transaction: transactionOf(tx, by)}); err != nil {
		return false, err
	}
	actions := b.end.Actions
	n, err := b.items(ctx, tx)
	if err != nil {
		return false, err
	}
	found = b.end.Actions > actions
	if by != nil && by.State != changes.Recorded && by.State != changes.NoEvent {
		if err = b.unknown(by.String(), "who made %s", nameOf(tx)); err != nil {
			return found, err
		}
	}
	for _, l := range made.Lost {
		if err = b.add(Line{Lost: (*Lost)(&l)}); err != nil {
			return found, err
		}
	}
	switch {
	case made.MoreLost:
		err = b.unknown("other changes were lost, too", "%s", nameOf(tx))
	case n > maxCompared:
		err = b.unknown(fmt.Sprintf("it has more than %d items: what the driver and the triggers have counted is not compared", maxCompared), "%s", nameOf(tx))
	case n > 0 && !b.reader.ActionsOnly():
		err = b.differences(ctx, tx)
	}
	return found, err
}

// items adds all that a transaction did, and returns how many items that are. Beside all of them it reads those that match,
// which come in the same order.
func (b *bundle) items(ctx context.Context, tx journal.TxKey) (n int, err error) {
	q := b.query
	q.Tx = tx
	next, stop := iter.Pull2(b.reader.each(ctx, q))
	defer stop()
	match, err, more := next()
	for item, failed := range b.reader.each(ctx, Query{Tx: tx}) {
		if failed != nil || err != nil {
			return n, firstOf(failed, err)
		}
		for more && match.end.before(item.end) { // it was committed while these were read
			if match, err, more = next(); err != nil {
				return n, err
			}
		}
		matches := more && *match.end == *item.end
		if err = b.item(item.Item, matches); err != nil {
			return n, err
		}
		if matches {
			match, err, more = next()
		}
		n++
	}
	return n, err
}

// firstOf returns the first error that is not nil.
func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (b *bundle) item(item Item, matches bool) error {
	b.isLoose = false
	if a := item.Action; a != nil {
		b.end.Actions++
		if a.Captured && writes[a.Verb()] {
			b.targets[a.Target.Type] = true
		}
		return b.add(Line{Action: a, Matches: matches})
	}
	b.end.Changes++
	b.tables[[2]string{item.Change.Schema, item.Change.Table}] = true
	diff := item.Change.Diff()
	return b.add(Line{Change: &diff, Matches: matches})
}

// writes are the verbs of captured events that are about rows; others are about a schema or a transaction.
var writes = map[string]bool{"inserted": true, "updated": true, "deleted": true, "truncated": true, "upserted": true, "merged": true}

// differences compares what the driver and the triggers have counted.
func (b *bundle) differences(ctx context.Context, tx journal.TxKey) error {
	story, err := b.reader.timeline.Story(ctx, b.reader.rows, tx)
	if err != nil {
		return err
	}
	for _, d := range story.Differences {
		line := &Difference{Rows: d.Rows, Changes: d.Changes, Expected: d.Expected, Reason: d.Reason}
		for _, i := range d.Statements {
			line.Statements = append(line.Statements, story.Statements[i].ID.String())
		}
		if err := b.add(Line{Difference: line}); err != nil {
			return err
		}
	}
	return nil
}

// finish adds where histories are broken, what is not captured, and the end.
func (b *bundle) finish(ctx context.Context) (err error) {
	if b.reader.ActionsOnly() {
		err = b.unknown("there are no tables of row changes", "which rows the transactions changed")
	} else {
		err = b.histories(ctx)
	}
	if err != nil {
		return err
	}
	end := b.end
	return b.add(Line{End: &end})
}

// histories adds where those of the tables involved are broken, and which are not captured.
func (b *bundle) histories(ctx context.Context) error {
	captured, err := b.reader.rows.Captured(ctx)
	if err != nil {
		return err
	}
	for _, name := range b.uncaptured(captured) {
		reached, err := b.reader.rows.Reached(ctx, []string{name})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(captured, func(n [2]string) bool { return slices.Contains(reached[name], targetType(n[0], n[1])) }) {
			continue
		}
		if err = b.unknown("its row changes are not captured", "table %s", name); err != nil {
			return err
		}
	}
	names := slices.SortedFunc(maps.Keys(b.tables), func(x, y [2]string) int { return slices.Compare(x[:], y[:]) })
	for _, n := range names {
		if err := b.breaks(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// uncaptured returns the targets of captured events that are no captured tables by their names. It notes the others in
// b.tables, so that their breaks are added.
func (b *bundle) uncaptured(captured [][2]string) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(b.targets)) {
		i := slices.IndexFunc(captured, func(n [2]string) bool { return targetType(n[0], n[1]) == name })
		if i < 0 {
			list = append(list, name)
			continue
		}
		b.tables[captured[i]] = true
	}
	return list
}

func (b *bundle) breaks(ctx context.Context, table [2]string) error {
	list, err := b.reader.rows.Breaks(ctx, pgschema.Ident(table[0])+"."+pgschema.Ident(table[1]))
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return b.unknown(err.Error(), "where the history of %s.%s is broken", table[0], table[1])
	}
	for _, k := range list {
		line := &Break{Kind: k.Kind, From: instant(k.From), To: instant(k.To), Schema: k.Schema, Table: k.Table, Text: k.Text}
		if err := b.add(Line{Break: line}); err != nil {
			return err
		}
	}
	return nil
}
