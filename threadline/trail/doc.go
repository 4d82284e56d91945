// Package trail reads the actions of package threadline and the row changes of package changes together: what was
// done, and which rows it changed, in one list.
//
//	timeline := threadline.NewStore(db, hooks.Postgres, nil)
//	rows := changes.NewStore(db, hooks.Postgres, nil)
//	reader := trail.NewReader(timeline, rows)
//
//	terms, err := search.Parse("actor:alice table:orders after:2026-11-23") // since Monday
//	query, err := terms.Trail(time.Now())
//	for item, err := range reader.Each(ctx, query) {
//		fmt.Println(item)
//	}
//
// # What is in the list
//
// Each action and each row change is one [Item], and is in the list once. A statement that the driver has captured is
// there as both: its event is an action, orders.updated with the number of rows, and each row that it has changed is a
// row change of the same transaction ([Item.Tx]). Action.Captured distinguishes such an event from one that the app has
// recorded. [threadline.Store.Story] says of one transaction which statement has changed which rows.
//
// [Reader.Causes] links the row changes of a page to their events, wherever these stand in the list:
//
//	causes, err := reader.Causes(ctx, page.Items)
//	for i, item := range page.Items {
//		fmt.Println(item)
//		for _, action := range slices.Concat(causes[i].Recorded, causes[i].Statements) {
//			fmt.Println("\tof", action)
//		}
//	}
//
// # Filters
//
// An item is found if all filters match it. Some filters ask for what only one of the two kinds has: no row change has
// an outcome, and no action a changed field. With such a filter all items are of that kind. A filter in [Query.Not]
// leaves out what it matches, so an operation there leaves all actions in. Two filters that no item can match together
// are an error, not an empty page.
//
// # Order
//
// The list is newest first. The time of an action is RecordedAt, when the events of its transaction were written, just
// before its COMMIT; that of a row change is CapturedAt, when the row was written. Both are the clock of the database,
// on SQLite of the app. At the same microsecond actions come first; then actions are in the order of package
// threadline, and row changes in that of package changes. So the events of a transaction come before its row changes,
// and what other transactions did meanwhile may stand in between. The list of one transaction ([Query.Tx]) has first
// its actions, and then its row changes in the reverse order of the WAL, whatever the clock said.
//
// This is not the order of commits, of which the database keeps none: xids are given out when transactions first
// write, and a place in the WAL, like the clock, says when a row was written. T1 may write before T2 and commit after
// it. (track_commit_timestamp, off by default, has the clock's order only, and a trigger runs before the COMMIT.) What
// the list does prove:
//
//   - Changes of one row are in the order of its versions, even if xids are in another one. A row's lock is held until
//     the COMMIT, so this is also the order in which their transactions committed.
//   - Changes of one transaction are in the order in which it made them.
//   - What a transaction wrote after it saw another's rows was written after these.
//   - Otherwise the list says in which order rows were written, and nothing about the order of commits.
//
// The first and the third hold as long as the clock is not set back. changes.Store.History goes by the WAL, and is
// right even then.
//
// An action that is delivered late, or a transaction that commits late, takes its place by its time, above what may
// already have been read: it is seen when reading starts from the top again. A reader that must miss nothing asks for
// changes.Query with OldestFirst.
//
// # Pages
//
// A page ends at a place between two items, and [Page.Next] names it. No item is on two pages, whatever is written
// meanwhile, and the place is good in a database that was restored from a dump. A page reads at most as many actions
// and as many row changes as its limit, each along an index. If filters have to look at items, it looks at
// [threadline.MaxLooked] actions and [changes.MaxLooked] row changes, and may be short.
//
// # Bundles
//
// [Reader.WriteBundle] writes all that is known around a transaction, a correlation, an actor or a row into a file that
// is kept: each transaction with who made it and all that it did, where the histories of the tables involved are
// broken, and what is not known:
//
//	end, err := reader.WriteBundle(ctx, file, trail.Query{CorrelationID: "c-7"})
//
// The file has a JSON document on each line ([Line]). The last one has the SHA-256 of the lines above it, so it shows if
// the file was cut off or damaged:
//
//	head -n -1 bundle.jsonl | sha256sum
//
// The digest protects against accidents. Someone who can change the file can compute another one: keep it elsewhere.
//
// # SQLite
//
// There an action and a row change of one transaction have different times for its start, and its ID alone identifies
// it. A row change whose transaction the driver has not numbered has the ID 0: no query asks for that, and it stands
// alone in a bundle.
package trail
