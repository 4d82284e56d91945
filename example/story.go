package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// behind changes an order as somebody with psql does, over a connection that nothing wraps.
func behind(ctx context.Context, db *sql.DB, order int64) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, fmt.Sprintf(`SET application_name = 'psql'; UPDATE orders SET total_cents = 1 WHERE id = %d; RESET application_name`, order))
	return err
}

// story is all that has changed in an order's rows, the oldest first.
type story struct {
	order   int64
	changes []changes.Change
}

func readStory(ctx context.Context, db *sql.DB, order int64) (*story, error) {
	s := &story{order: order}
	store := changes.NewStore(db, hooks.Postgres, nil)
	for _, table := range []struct{ name, key, of string }{
		{"orders", "id", "id"},
		{"order_items", "order_id, product_id", "order_id"},
		{"coupon_redemptions", "order_id", "order_id"},
		{"refunds", "id", "order_id"},
	} {
		keys, err := keysOf(ctx, db, fmt.Sprintf(`SELECT concat_ws(',', %s) FROM %s WHERE %s = %d`, table.key, table.name, table.of, order))
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			history, err := store.History(ctx, table.name, strings.Split(key, ",")...)
			if err != nil {
				return nil, err
			}
			s.changes = append(s.changes, history...)
		}
	}
	slices.SortStableFunc(s.changes, func(a, b changes.Change) int {
		return cmp.Or(a.TxStartedAt.Compare(b.TxStartedAt), cmp.Compare(a.XID, b.XID), a.CapturedAt.Compare(b.CapturedAt))
	})
	return s, nil
}

func keysOf(ctx context.Context, db *sql.DB, query string) (keys []string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

// print prints the story, transaction by transaction, and then what was rolled back.
func (s *story) print(out io.Writer, log []request) error {
	fmt.Fprintf(out, "\nTHE STORY OF ORDER %d, as triggers have kept it: who changed which field, from what to what\n", s.order)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, c := range s.changes {
		if i == 0 || c.XID != s.changes[i-1].XID {
			fmt.Fprintf(w, "%s  %s\n", c.CapturedAt.Format("15:04:05.000"), by(c))
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", c.Table+":"+strings.Join(c.Key, ","), c.Op, fields(c))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "Not in it, because it was rolled back:")
	for _, r := range log {
		if r.refused() && r.path == fmt.Sprintf("/orders/%d/refund", s.order) {
			fmt.Fprintf(out, "  %s  %s: %s (row changes: %d)\n", r.id, r.what, r.answer, s.of(r.id))
		}
	}
	return nil
}

// by says who made a change, and in which request.
func by(c changes.Change) string {
	who := c.By.String()
	for _, about := range c.By.Contexts {
		if about.RequestID != "" {
			who += ", " + about.RequestID
		}
	}
	if c.By.State == changes.NoEvent {
		who += ": behind the shop's back"
	}
	return who
}

// fields lists the fields of a change that say something beside its key.
func fields(c changes.Change) string {
	var list []string
	for _, f := range c.Fields {
		switch {
		case f.Name == "id" || f.Name == "order_id" || f.Name == "product_id":
		case c.Op == changes.Insert:
			list = append(list, f.Name+" "+f.New.String())
		default:
			list = append(list, f.Name+" "+f.Old.String()+" → "+f.New.String())
		}
	}
	return strings.Join(list, ", ")
}

// of counts the changes that a request has made.
func (s *story) of(request string) int {
	n := 0
	for _, c := range s.changes {
		if slices.ContainsFunc(c.By.Contexts, func(about changes.Context) bool { return about.RequestID == request }) {
			n++
		}
	}
	return n
}

// tellStory prints the story of the first order, and what has undone a part of it.
func (c *check) tellStory(ctx context.Context, d *day) (err error) {
	if c.story, err = readStory(ctx, c.db, d.first); err != nil {
		return err
	}
	if err = c.story.print(c.out, d.web.log); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "What Linus ran to undo the change behind the shop's back:\n%s", indented(d.undo.String()))
	return err
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}

// told: the order's changes lead to its row, only the shop's have an actor, and the timeline
// says what was undone.
func (c *check) told(ctx context.Context, undo *undo.Script) error {
	s := c.story
	if s == nil {
		return nil
	}
	var state, cents string
	err := c.db.QueryRowContext(ctx, `SELECT state, total_cents FROM orders WHERE id = `+strconv.FormatInt(s.order, 10)).Scan(&state, &cents)
	if err != nil {
		return err
	}
	last := map[string]string{}
	actors, unknown := 0, 0
	for _, change := range s.changes {
		switch change.By.State {
		case changes.Recorded:
			actors++
		case changes.NoEvent:
			unknown++
		}
		for _, f := range change.Fields {
			if change.Table == "orders" {
				last[f.Name] = f.New.String()
			}
		}
	}
	c.line(last["state"] == state && last["total_cents"] == cents, "order %d: its row has %s, %s cents; its changes lead to %s, %s", s.order, state, cents, last["state"], last["total_cents"])
	undone, err := c.number(ctx, `SELECT count(*) FROM threadline.audit_actions WHERE name = 'orders.updated' AND causation_id = '`+undo.Cause+`'`)
	if err != nil {
		return err
	}
	c.line(undone == 1, "order %d: undo of transaction %s: events that name it as their cause %d", s.order, undo.Cause, undone)
	c.line(unknown == 1 && actors == len(s.changes)-1, "order %d: row changes %d, by the shop %d, behind its back %d", s.order, len(s.changes), actors, unknown)
	return nil
}
