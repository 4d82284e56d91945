// Package capture makes triggers that keep each change of a row, from which value to which, in the transaction that
// makes it. Package changes reads what they have kept.
//
//	audit.Keep(capture.Of(capture.Table{Name: "orders", Mask: []string{"card"}})) // where audit.Register is
//
// audit is the [forward.Hub], which makes the triggers in the background. Without one, and on SQLite:
//
//	installer := capture.NewInstaller(db, hooks.Postgres, nil)
//	err := installer.Migrate(ctx) // as the role that is to own the history
//	plan, err := installer.Plan(ctx, capture.Table{Name: "orders", Mask: []string{"card"}})
//	fmt.Print(plan) // the statements, and why each
//	err = installer.Apply(ctx, plan)
//
// The package is for PostgreSQL 13 or newer, and for SQLite 3.37 or newer. SQLite has no partitions and no hashes, and
// there a [List] makes no captures, but lets them follow DDL; SQLITE.md of package changes says what else differs.
// The rest of this text is about PostgreSQL.
//
// # What is kept
//
// Of an INSERT the new row is kept, of a DELETE the old one, and of an UPDATE the fields that it has changed, old and
// new. An UPDATE that changes nothing leaves nothing. Two values are the same if their bytes are, so 1.0 and 1.00
// differ. A value is kept as the text that PostgreSQL prints under fixed settings of the session: cast to the column's
// type, it gives the value. A value whose text is longer than 64 KiB may be shortened to its length and SHA-256.
//
// A TRUNCATE is kept as one change, without the rows.
//
// # What it does to the app
//
// Writes to a captured table neither fail because of the trigger nor wait for it:
//
//   - After DDL the trigger's function no longer fits the table. It notices that, and keeps whole rows with the
//     columns that they have then, until Keep or the next plan replaces it.
//   - If the tables of changes are locked, as by VACUUM FULL, or gone, it does not wait. It
//     writes a row to audit_gaps if it can, and warns.
//
// The function runs with the rights of the history's owner. Whatever the session's search_path is, it calls no
// function, operator or cast that a role other than a superuser could have made. Only the history's owner, and the owner of
// a partitioned table that is captured, may attach it to a table, and of any table but the captured one it keeps nothing.
package capture
