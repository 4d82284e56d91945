package undo_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

func Example() {
	var ctx context.Context
	var store *changes.Store
	var change changes.Change // one of History
	_ = func() {
		script, err := undo.Transaction(ctx, store, change.XID, change.TxStartedAt)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(script) // for psql, with what is in its way
	}
}

// The app shows the undo of a change's transaction, and executes it when the user agrees. The event that it records names what
// was undone. What the undo changes is in the history, too, so it can be undone as well.
func ExampleTransaction() {
	var db *sql.DB // opened by the audited name
	var store *changes.Store
	var change changes.Change // one of History

	execute := func(ctx context.Context, script *undo.Script) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for _, s := range script.Statements {
			result, execErr := tx.ExecContext(ctx, s.SQL)
			if execErr != nil {
				return execErr
			}
			if n, rowsErr := result.RowsAffected(); rowsErr != nil || n != s.Rows {
				return errors.Join(errors.New("a row is no longer as it was left: "+s.Comment), rowsErr)
			}
		}
		err = hooks.Record(ctx, tx, hooks.Event{Action: "order.undone", CausationID: script.Cause, Reason: "refunded by mistake"})
		if err != nil {
			return err
		}
		return tx.Commit()
	}

	show := func(ctx context.Context, agreed bool) error {
		script, err := undo.Transaction(ctx, store, change.XID, change.TxStartedAt)
		if err != nil {
			return err
		}
		fmt.Print(script) // also what is in its way, and which triggers fire
		if !agreed || len(script.Refusals)+len(script.Conflicts) > 0 {
			return nil
		}
		return execute(ctx, script)
	}
	_ = show
}

// What happened to order 42 since yesterday is undone.
func ExampleRowAsOf() {
	var ctx context.Context
	var store *changes.Store
	_ = func() {
		script, err := undo.RowAsOf(ctx, store, "orders", time.Now().AddDate(0, 0, -1), "42")
		if err != nil {
			log.Fatal(err)
		}
		for _, conflict := range script.Conflicts {
			fmt.Println(conflict)
		}
		fmt.Print(script)
	}
}
