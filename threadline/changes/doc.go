// Package changes keeps who changed what, from which value to which: triggers that it
// generates for the chosen tables write each row change, in the transaction that makes it.
//
//	audit.Keep(changes.Of(changes.Table{Name: "orders", Mask: []string{"card"}})) // beside audit.Register
//	...
//	store := changes.NewStore(db, hooks.Postgres, nil)
//	history, err := store.History(ctx, "orders", "42")
//
// audit is the [forward.Hub], which makes the triggers in the background. Without one:
//
//	err := store.Migrate(ctx) // as the role that is to own the history
//	plan, err := store.Plan(ctx, changes.Table{Name: "orders", Mask: []string{"card"}})
//	fmt.Print(plan)           // the statements, and why each
//	err = store.Apply(ctx, plan)
//
// # What to call
//
// [Store.History], [Store.Page] and [Store.Each] find changes, [Store.Transaction] those of a transaction.
// [Store.RowAsOf], [Store.RowAfter] and [Store.TableAsOf] say what rows were. [Store.Breaks] says where a
// history has holes. [Store.UndoTransaction], [Store.UndoChange], [Store.UndoRow] and [Store.UndoRowTo]
// return SQL that reverses changes. [NewSource] is for forwarders that are registered with
// forward.WithChanges, so that changes reach other systems.
//
// It is for PostgreSQL 13 or newer, and for SQLite 3.37 or newer. There are no partitions, no hashes
// and no delivery on SQLite, and [Capture] makes no captures there but lets them follow DDL; SQLITE.md says
// what else differs. What follows is about PostgreSQL.
//
// # What is kept
//
// An INSERT keeps the new row, a DELETE the old one, an UPDATE the fields that it has changed, old
// and new; one that changes nothing keeps nothing. Two values are the same if their bytes
// are: 1.0 and 1.00 are not. Values are kept as the text that PostgreSQL prints, under fixed
// settings of the session, so that casting the text to the column's type gives the value. A
// value of which the text is longer than 64 KiB may be kept as its length and SHA-256.
//
// A TRUNCATE is kept as one change, without the rows.
//
// # What capture does to the app
//
// A captured table's writes do not fail because of the trigger, and do not wait for it:
//
//   - After DDL the trigger's function no longer fits the table. It notices that, keeps whole rows
//     with the columns that they have, and Plan says that the capture is to be replaced.
//   - If the tables of changes are locked, as by VACUUM FULL, or gone, it does not wait. It
//     writes a row to audit_gaps if it can, and warns.
//
// The function runs with the rights of the trail's owner. It calls no function, operator
// or cast that a role other than a superuser could have made, whatever the session's search_path is.
// Only the owner may attach it to a table, and it keeps nothing of tables that are not the owner's.
//
// # Who
//
// [Change.By] says who made a change: what the events of its transaction say, which
// threadline.Forwarder has kept in the same schema. Where there are none it has the session's role,
// application and address alone. It says that there was no event only where the journal is certain of it,
// and else why it is not known. If several actors have written in one transaction, it has all of them.
//
// # Order
//
// Changes of one row are in the order of the WAL, which is that of the row's locks, and within a
// transaction in the order of the row's versions. A database that was restored into another
// cluster begins its WAL anew: what was captured there comes after what was captured before,
// by the clocks of the servers.
package changes
