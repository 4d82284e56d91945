// Package changes reads who changed what, from which value to which: the row changes that the triggers of package
// capture have kept.
//
//	audit.Keep(capture.Of(capture.Table{Name: "orders", Mask: []string{"card"}})) // where audit.Register is
//
//	store := changes.NewStore(db, hooks.Postgres, nil)
//	history, err := store.History(ctx, "orders", "42")
//
// # What to call
//
// [Store.History], [Store.Page] and [Store.Each] find changes, [Store.Transaction] those of a transaction.
// [Store.RowAsOf], [Store.RowAfter] and [Store.TableAsOf] say what rows were. [Store.Breaks] says where a
// history may have holes. Package undo makes the SQL that reverses changes. [NewSource] delivers row changes to the
// forwarders that are registered with forward.WithChanges, and [KeptIn] lets a purge delete those that another database
// keeps. README.md, beside this file, has all of it in one place.
//
// The package is for PostgreSQL 13 or newer, and for SQLite 3.37 or newer. On SQLite nothing is delivered; SQLITE.md
// says what else differs. The rest of this text is about PostgreSQL.
//
// # Who
//
// [Change.By] says who made a change. It comes from the events of the change's transaction, which threadline.Forwarder has
// written to the same schema. Without events it has only the session's role, application and address. It says that there
// was no event only where the journal proves it, and otherwise why that is not known. If several actors have written in
// one transaction, it has all of them.
//
// # Order
//
// Changes of one row are in the order of the WAL, which is that of the row's locks, and within a
// transaction in the order of the row's versions. A database that was restored into another
// cluster begins its WAL anew: what was captured there comes after what was captured before,
// by the clocks of the servers.
package changes
