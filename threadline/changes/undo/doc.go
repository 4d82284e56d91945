// Package undo makes the SQL that reverses row changes: all of a transaction, one change, or what happened to a row after a moment or
// after a change of it. It executes nothing.
//
//	script, err := undo.Transaction(ctx, store, change.XID, change.TxStartedAt) // store is a *changes.Store
//	fmt.Print(script)
//
// A [Script] says what is in the way of it now ([Conflict]), or why there can be no statements ([Refusal]). The changes that are
// undone become steps, one for each row, which are put into an order in which each succeeds.
package undo
