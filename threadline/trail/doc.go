// Package trail reads the actions of package threadline and the row changes of package changes together: what was
// done, and which rows it changed, in one list.
//
//	timeline := threadline.NewStore(db, hooks.Postgres, nil)
//	rows := changes.NewStore(db, hooks.Postgres, nil)
//	all := trail.NewReader(timeline, rows)
//
//	terms, err := search.Parse("actor:alice table:orders after:2026-11-23") // since Monday
//	query, err := terms.Trail(time.Now())
//	for item, err := range all.Each(ctx, query) {
//		fmt.Println(item)
//	}
//
// # What is in the list
//
// Each action and each row change is one [Item], and is in the list once. A statement that the driver has captured is
// there twice, as what it is: its event is an action, orders.updated with the number of rows, and the rows that it has
// changed are the row changes of the same transaction ([Item.Tx]). Action.Captured tells such an event from what the app
// has recorded. [threadline.Store.Story] says of one transaction which statement has changed which rows.
//
// # Filters
//
// An item is found if all filters match it. Some ask for what only one of the two kinds has: no row change has an
// outcome, and no action a changed field. With such a filter all items are of that kind. A filter in [Query.Not]
// leaves out what it matches, so that Not of an operation leaves all actions in. Two filters that no item can match
// together are an error, and no empty page.
//
// # Order
//
// Newest first: an action by RecordedAt, when its transaction's events were written, just before its COMMIT; a
// row change by CapturedAt, when the row was written. Both are the clock of the database, on SQLite of the app. At the same microsecond actions
// come first; further, actions are in the order of package threadline, and row changes in that of package changes.
// Hence, newest first, the events of a transaction come before its row changes, and between them may be
// what other transactions did meanwhile. The list of one transaction ([Query.Tx]) has its
// actions first, and then its row changes in the order of the WAL, the last of them first, whatever the clock said.
//
// This is not the order of commits, and there is no number that has that order. xids are given out when
// transactions first write, and the WAL's places, like the clock, say when a row was written: T1 may write before T2 and
// commit after it. PostgreSQL keeps no order of commits by default (track_commit_timestamp, and then only
// the clock's), and a trigger runs before the COMMIT, so that a row change cannot contain one. What is certain:
//
//   - Changes of one row are in the order of its versions, also if that is not the order of xids: a row's lock is
//     held until the COMMIT, so that this is also the order in which their transactions committed.
//   - Changes of one transaction are in the order in which it made them.
//   - What a transaction wrote after it saw another's rows was written after these.
//   - Otherwise the list says in which order rows were written, and nothing about the order of commits.
//
// The first and the third hold by the clock, as long as it is not set back. changes.Store.History goes by the WAL, and
// is right also then. An action that is delivered late, and a transaction that commits late, take their place by their time,
// above what has been read: they are seen when reading starts from the top again. A reader that must miss nothing follows
// changes.Query with OldestFirst.
//
// # Pages
//
// A page ends at a place between two items, and [Page.Next] names it. No item is on two pages, whatever is written
// meanwhile, and the place is good in a database that was restored from a dump. A page reads at most as many
// actions and as many row changes as its limit, each along an index, or looks at threadline.MaxLooked
// actions and changes.MaxLooked row changes, if filters have to look at them: such a page may be short.
//
// # Bundles
//
// [Reader.WriteBundle] writes all that is known around a transaction, a correlation, an actor or a row into a file that
// is kept: each transaction with who made it and all that it did, where the histories of the tables involved are
// broken, and what is not known:
//
//	end, err := all.WriteBundle(ctx, file, trail.Query{CorrelationID: "c-7"})
//
// The file has a JSON document on each line ([Line]), and on the last one the SHA-256 of the lines above it, so
// that one that was cut off or damaged shows:
//
//	head -n -1 bundle.jsonl | sha256sum
//
// The digest protects against accidents. Whoever can change the file can compute another one: keep it elsewhere.
//
// # SQLite
//
// There, Query.Tx and bundles are refused: the two kinds have different times for the start of one transaction.
package trail
