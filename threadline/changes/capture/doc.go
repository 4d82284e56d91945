// Package capture makes the triggers that keep who changed what, from which value to which, in the transaction that
// makes the change. Package changes reads what they keep.
//
//	audit.Keep(capture.Of(capture.Table{Name: "orders", Mask: []string{"card"}})) // beside audit.Register
//
// audit is the [forward.Hub], which makes the triggers in the background. Without one, and on SQLite:
//
//	installer := capture.NewInstaller(db, hooks.Postgres, nil)
//	err := installer.Migrate(ctx) // as the role that is to own the history
//	plan, err := installer.Plan(ctx, capture.Table{Name: "orders", Mask: []string{"card"}})
//	fmt.Print(plan) // the statements, and why each
//	err = installer.Apply(ctx, plan)
//
// It is for PostgreSQL 13 or newer, and for SQLite 3.37 or newer. There are no partitions and no hashes on SQLite,
// and [List] makes no captures there but lets them follow DDL; SQLITE.md of package changes says what
// else differs. What follows is about PostgreSQL.
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
// # What it does to the app
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
package capture
