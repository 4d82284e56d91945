package main

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// changeAndUndo has somebody change the first order behind the shop's back, and Linus undo that: the SQL
// for it comes from the row changes, and the shop executes it like any other.
func (d *day) changeAndUndo(ctx context.Context, bare, db *sql.DB) error {
	if err := behind(ctx, bare, d.first); err != nil {
		return err
	}
	store := changes.NewStore(bare, hooks.Postgres, nil)
	history, err := store.History(ctx, "orders", strconv.FormatInt(d.first, 10))
	if err != nil {
		return err
	}
	last := history[len(history)-1]
	if d.undo, err = undo.Transaction(ctx, store, last.XID, last.TxStartedAt); err != nil {
		return err
	}
	return execute(hooks.With(ctx, hooks.Values{
		Actor:       hooks.Actor{Type: hooks.Admin, ID: "linus", Name: "Linus"},
		Reason:      "nobody knows who changed the total",
		CausationID: d.undo.Cause,
	}), db, d.undo)
}

// execute undoes all or nothing.
func execute(ctx context.Context, db *sql.DB, script *undo.Script) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing, once it is committed
	for _, s := range script.Statements {
		result, err := tx.ExecContext(ctx, s.SQL)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if n != s.Rows {
			return fmt.Errorf("%s: %d rows are as they were left, not %d", s.Comment, n, s.Rows)
		}
	}
	return tx.Commit()
}
