// Package changes reads who changed what, from which value to which. The triggers of package capture have kept it.
//
//	audit.Keep(capture.Of(capture.Table{Name: "orders", Mask: []string{"card"}})) // beside audit.Register
//	...
//	store := changes.NewStore(db, hooks.Postgres, nil)
//	history, err := store.History(ctx, "orders", "42")
//
// # What to call
//
// [Store.History], [Store.Page] and [Store.Each] find changes, [Store.Transaction] those of a transaction.
// [Store.RowAsOf], [Store.RowAfter] and [Store.TableAsOf] say what rows were. [Store.Breaks] says where a
// history has holes. [Store.UndoTransaction], [Store.UndoChange], [Store.UndoRow] and [Store.UndoRowTo]
// return SQL that reverses changes. [NewSource] is for forwarders that are registered with
// forward.WithChanges, so that changes reach other systems.
//
// It is for PostgreSQL 13 or newer, and for SQLite 3.37 or newer. There is no delivery on SQLite;
// SQLITE.md says what else differs. What follows is about PostgreSQL.
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
