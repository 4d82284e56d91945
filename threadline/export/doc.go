// Package export writes actions and row changes into files that are kept: what a search finds, in a form that spreadsheets,
// other programs or a SIEM read, as much as there is, with one page of it in memory.
//
//	terms, err := search.Parse("table:orders after:2026-11-01")
//	query, err := terms.Trail(time.Now())
//	dir, err := export.MakeDirectory("november")
//	manifest, err := export.Files(ctx, dir, reader, query, export.CSV(), &export.Options{Filter: terms.String()})
//
// [Write] writes one file, [Files] a directory, or another [Storage], with a [Manifest]: how many rows there are, from where to
// where, the SHA-256 of each file, and whether a limit has left something out. [Verify] checks it.
//
// # What is in it
//
// The items are those of [trail.Reader.Each], in its order, the newest first. The export begins with the newest item that
// there is when it starts; what is captured or recorded later is not in it, however long it takes and whenever it is resumed.
//
// Two things may come late to a time that lies before: the changes of a transaction that was open when the export began, and
// events that were not yet delivered. Such an item is in the export if it comes before the export gets to its time. To have
// only what is settled, end the search some time ago, as before:1h does.
//
// An item has the same content in each format, and masked, hashed and shortened values stay so: an export has nothing of a
// value that the trail does not have.
//
// # Interruption
//
// A file appears under its name when it is whole. The file [ProgressName] then says where the next one begins, and
// [Resume] goes on there. What else there is, it discards. So no item is there twice and none is missing, wherever the program
// was killed. The manifest comes last: without one an export is not finished.
package export
