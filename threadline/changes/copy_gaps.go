package changes

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// CopyGaps notes in a store in another database that it lacks these row changes: [Store.Breaks], and all else that is asked there, then
// shows a gap in the history. A gap does not show once its change is there, whichever came first. Like [Source.Copy] it is for
// threadline.Forwarder.
func (f *Source) CopyGaps(ctx context.Context, app *sql.DB, gaps []relay.Gap, to *Store) error {
	return f.copyWith(ctx, app, to, func(c *copier) error {
		if _, err := c.read(ctx, nil); err != nil {
			return err
		}
		return c.readUndelivered(ctx, gaps)
	})
}

// gapRow is a row of audit_gaps.
type gapRow struct {
	XID        string `json:"xid"`
	StartedAt  string `json:"tx_started_at"`
	CapturedAt string `json:"captured_at"`
	LSN        string `json:"lsn"`
	TableID    int64  `json:"table_id"`
	Op         string `json:"op"`
	Reason     string `json:"reason"`
}

var undeliveredOps = map[string]string{"I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE"}

// readUndelivered makes rows for audit_gaps of changes that were not copied.
func (c *copier) readUndelivered(ctx context.Context, gaps []relay.Gap) (err error) {
	found, err := c.readPlaces(ctx, gaps)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		if xid, _, ok := g.Position.Change(); ok {
			c.note(xid)
		}
		rows := found[placeOf(g.Position)]
		if len(rows) == 0 {
			if rows, err = c.bounds(ctx, g); err != nil {
				return err
			}
		}
		for _, r := range rows {
			r.Reason = pgtext.Written(g.Reason)
			if err = c.addGap(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// addGap adds a row for audit_gaps to those that are written.
func (c *copier) addGap(r gapRow) error {
	row, err := json.Marshal(r)
	c.undelivered = append(c.undelivered, string(row))
	return err
}

// place is where a change is in the WAL, and its transaction.
type place struct{ xid, lsn string }

func placeOf(p journal.Position) place {
	at := changeKeyOf(&journal.Entry{Position: p})
	return place{at.xid, at.lsn}
}

// readPlaces reads the changes of gaps. In a restored database two changes may have the same place. Then each gets a gap.
func (c *copier) readPlaces(ctx context.Context, gaps []relay.Gap) (map[place][]gapRow, error) {
	var xids, lsns []string
	for _, g := range gaps {
		at := placeOf(g.Position)
		xids, lsns = append(xids, at.xid), append(lsns, at.lsn)
	}
	found := make(map[place][]gapRow)
	_, err := catalog.ReadAll(ctx, c.app, func(rows *sql.Rows) (_ struct{}, err error) {
		var r gapRow
		err = rows.Scan(&r.XID, &r.LSN, &r.StartedAt, &r.CapturedAt, &r.TableID, &r.Op)
		r.Op = undeliveredOps[r.Op] + catalog.Undelivered
		found[place{r.XID, r.LSN}] = append(found[place{r.XID, r.LSN}], r)
		return struct{}{}, err
	}, "SELECT pg_catalog.concat(c.xid), c.lsn::pg_catalog.text, "+pgtext.Time("c.tx_started_at")+", "+pgtext.Time("c.captured_at")+", c.table_id, c.op::pg_catalog.text"+
		" FROM "+unnested(pgList{xids, "xid8"}, pgList{lsns, "pg_lsn"})+" k (xid, lsn) CROSS JOIN LATERAL (SELECT * FROM "+c.from.At("audit_changes")+" c WHERE c.xid = k.xid AND c.lsn = k.lsn OFFSET 0) c")
	return found, err
}

// bounds returns rows for a change that is gone from the app's database, too. Its table is not known ([catalog.AnyTable]), nor its time. It
// lies between those of the rows: not before the last known transaction with a lower ID began, nor after the change was missed.
func (c *copier) bounds(ctx context.Context, g relay.Gap) ([]gapRow, error) {
	at, changes := placeOf(g.Position), c.from.At("audit_changes")
	to := g.At.UTC().Format(lenient.TimeForm)
	xid := "'" + at.xid + "'::pg_catalog.xid8"
	var from string
	err := c.app.QueryRowContext(ctx, "SELECT "+pgtext.Time("coalesce((SELECT c.tx_started_at FROM "+changes+" c WHERE c.xid <= "+xid+" ORDER BY c.xid DESC, c.lsn DESC LIMIT 1), (SELECT pg_catalog.min(n.noted_at) FROM "+c.from.At("audit_captures")+
		" n), '"+to+"'::pg_catalog.timestamptz)")).Scan(&from)
	if err != nil {
		return nil, err
	}
	r := gapRow{XID: at.xid, StartedAt: from, LSN: at.lsn, TableID: catalog.AnyTable, Op: "change" + catalog.Undelivered}
	times := []string{from, to}
	slices.Sort(times)
	var rows []gapRow
	for _, r.CapturedAt = range slices.Compact(times) {
		rows = append(rows, r)
	}
	return rows, nil
}
