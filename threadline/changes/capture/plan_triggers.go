package capture

import (
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

type trigger struct{ name, table, when string }

func (d *deployed) has(t trigger) bool { return d.On(t.name, t.table) }

// onAll reports whether tables have a trigger each.
func (d *deployed) onAll(name string, tables []string) bool {
	return !slices.ContainsFunc(tables, func(table string) bool { return !d.On(name, table) })
}

// triggers are those that are to be made. PostgreSQL puts a trigger on the rows of a partitioned table on its partitions, too, but
// not one on TRUNCATE, which foreign tables cannot have.
func (s *Installer) triggers(f *target, is *deployed) (missing []trigger) {
	tables := slices.Concat([]string{f.Qualified()}, f.Partitions)
	row := trigger{f.rowTrigger(), f.Qualified(), "AFTER INSERT OR UPDATE OR DELETE ON " + f.Qualified() + " FOR EACH ROW"}
	if f.bulk {
		row.when += " WHEN (" + s.byRowSQL(f) + ")"
	}
	if !is.onAll(row.name, tables) { // that of a partition may be disabled by itself
		missing = append(missing, row)
	}
	for _, t := range tables {
		if slices.Contains(f.Foreign, t) {
			continue
		}
		if truncate := (trigger{catalog.TruncateTrigger, t, "AFTER TRUNCATE ON " + t + " FOR EACH STATEMENT"}); !is.has(truncate) {
			missing = append(missing, truncate)
		}
	}
	return slices.Concat(missing, f.movesTriggers(is), f.bulkTriggers(is))
}

// rowTrigger is the name of the trigger on rows. A partitioned table's is named by its ID: it is also on the partitions, and ATTACH
// fails if a table has another trigger of that name.
func (f *target) rowTrigger() string {
	if f.Kind == "p" {
		return fmt.Sprintf("%s_%016x", catalog.RowTrigger, f.TableID())
	}
	if f.bulk { // its trigger has a WHEN: under another name, the difference shows
		return bulkRow
	}
	return catalog.RowTrigger
}

// otherRowTrigger is the trigger on rows that the table still has from before Table.Bulk was set, or no longer set, "" if there is none.
func (f *target) otherRowTrigger(is *deployed) string {
	for _, name := range []string{catalog.RowTrigger, bulkRow} {
		if f.Kind == "r" && name != f.rowTrigger() && is.has(trigger{name: name, table: f.Qualified()}) {
			return name
		}
	}
	return ""
}

// wasThere reports whether a trigger that is missing was there at the last capture.
func (f *target) wasThere(t trigger) bool {
	return t.name != catalog.MovesTrigger && f.WasCaptured(t.table)
}

// strays returns the triggers that are to be dropped: those of partitions that had their own captures before, those of Table.Bulk once it is
// no longer set, or refused, those on statements of tables that were partitions, and those on the table itself that were renamed.
func (f *target) strays(is *deployed) (list []trigger) {
	for _, t := range is.Others {
		if slices.Contains(f.Partitions, t.Table) {
			list = append(list, trigger{name: t.Name, table: t.Table})
		}
	}
	for _, name := range []string{bulkBefore, bulkInsert, bulkUpdate, bulkDelete} {
		if t := (trigger{name: name, table: f.Qualified()}); !f.bulk && is.has(t) {
			list = append(list, t)
		}
	}
	own := []string{f.rowTrigger(), catalog.RowTrigger, bulkRow, catalog.TruncateTrigger, catalog.MovesTrigger, bulkBefore, bulkInsert, bulkUpdate, bulkDelete}
	for _, t := range is.Triggers {
		renamed := t.Table == f.Qualified() && !slices.Contains(own, t.Name)
		// Who may execute the function can have made others, on tables of theirs.
		left := t.Owned && t.Table != f.Qualified() && !slices.Contains(f.Partitions, t.Table) && (t.Name == catalog.TruncateTrigger || t.Name == catalog.MovesTrigger)
		if renamed || left {
			list = append(list, trigger{name: t.Name, table: t.Table})
		}
	}
	return list
}
