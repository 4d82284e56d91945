// Package export writes actions and row changes to files that are kept: everything that a search finds, in a format that
// spreadsheets, other programs or a SIEM can read. It has one page of the results in memory.
//
//	terms, err := search.Parse("table:orders after:2026-11-01")
//	query, err := terms.Trail(time.Now())
//	dir, err := export.MakeDirectory("november")
//	manifest, err := export.Files(ctx, dir, reader, query, export.CSV(), &export.Options{Filter: terms.String()})
//
// [Write] writes one file. [Files] writes several, to a directory or another [Storage], with a [Manifest]: how many rows there
// are, the first and the last item, the SHA-256 of each file, and whether a limit left anything out. [Verify] checks the files against it.
//
// # What an export contains
//
// The items are those of [trail.Reader.Each], in the same order: the newest first. An export begins with the newest item at the
// time when it starts. What is captured or recorded later is not in it, however long it takes and whenever it is resumed.
//
// Two kinds of items can still appear at an earlier time: changes of a transaction that was open when the export began, and
// events that were not yet delivered. They are in the export if they appear before it gets to their time. To export only what is
// settled, end the search some time ago, as before:1h does.
//
// An item has the same content in each format. Masked, hashed and shortened values stay that way: an export reveals nothing
// that the trail does not have.
//
// # Interruption
//
// A file appears under its name once it is complete. The file [ProgressName] then records where the next one begins, and
// [Resume] continues there, after it has removed files that were not yet recorded. So no item is missing or there twice,
// wherever the program was killed. The manifest is written last: an export without one is unfinished.
package export
