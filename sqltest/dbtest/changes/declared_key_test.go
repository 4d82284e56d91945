package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// keyOf is the key by which the capture of the table t identifies rows now.
func (w *world) keyOf() string {
	w.Helper()
	list, err := w.installer().Survey(ctx)
	w.must(err)
	for _, s := range list {
		if strings.HasSuffix(s.Name, `"t"`) && s.Capture != nil {
			return strings.Join(s.Capture.Key, ", ")
		}
	}
	w.Fatal("the table is not captured")
	return ""
}

// TestDeclaredKeyStays: a plan without a key keeps the one that was named before, and says so; one that names another one says that this
// loosens the capture.
func TestDeclaredKeyStays(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, code text NOT NULL UNIQUE, other text NOT NULL UNIQUE, card text)")
		w.capture(capture.Table{Name: "t", Key: []string{"code"}, Mask: []string{"card"}})
		w.wantWarning("", capture.Table{Name: "t", Key: []string{"code"}, Mask: []string{"card"}})

		w.wantWarning("its key stays (code), which was named before; to go back to the primary key, name its columns in Key: id", capture.Table{Name: "t", Mask: []string{"card"}})
		w.capture(capture.Table{Name: "t", Mask: []string{"card", "other"}})
		if got := w.keyOf(); got != "code" {
			t.Errorf("after a plan without a key it is (%s)", got)
		}

		w.wantWarning(`this loosens what there is: the key was (code) and is to be (other), "other" was masked and is to be kept`, capture.Table{Name: "t", Key: []string{"other"}, Mask: []string{"card"}})
		w.wantWarning("this loosens what there is: the key was (code) and is to be (id)", capture.Table{Name: "t", Key: []string{"id"}, Mask: []string{"card", "other"}})
		w.capture(capture.Table{Name: "t", Key: []string{"id"}, Mask: []string{"card", "other"}})
		w.wantWarning("", capture.Table{Name: "t", Mask: []string{"card", "other"}})
		w.capture(capture.Table{Name: "t", Mask: []string{"card", "other"}})
		if got := w.keyOf(); got != "id" {
			t.Errorf("after the primary key was named it is (%s)", got)
		}
	})
}

// TestDeclaredKeyWaits: a key that no index proves for a time, or of which a column is to be masked, is remembered, and used again once it can be.
func TestDeclaredKeyWaits(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, code text NOT NULL)", "CREATE UNIQUE INDEX i ON t (code)")
		w.capture(capture.Table{Name: "t", Key: []string{"code"}})
		want := func(warning, key string, table capture.Table) {
			w.Helper()
			if p := w.capture(table); len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], warning) {
				t.Errorf("the warnings are %q, want %s", p.Warnings, warning)
			}
			if got := w.keyOf(); got != key {
				t.Errorf("the key is (%s), want (%s)", got, key)
			}
		}
		w.exec("DROP INDEX i")
		want("until it can be the key, its primary key is used; to go back to the primary key, name its columns in Key: id", "id", capture.Table{Name: "t"})
		w.exec("CREATE UNIQUE INDEX i ON t (code)")
		want("its key stays (code)", "code", capture.Table{Name: "t"})
		want(`column "code" is in the key, and cannot be masked`, "id", capture.Table{Name: "t", Mask: []string{"code"}})
		w.must(w.installer().Remove(ctx, "t"))
		w.wantWarning("", capture.Table{Name: "t"})
	})
}

// TestDeclaredKeyOfNoPrimaryKey: where there is no primary key, none is named.
func TestDeclaredKeyOfNoPrimaryKey(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (code text NOT NULL UNIQUE, v text)")
		w.capture(capture.Table{Name: "t", Key: []string{"code"}})
		w.wantWarning("its key stays (code), which was named before", capture.Table{Name: "t"})
	})
}

// TestDeclaredKeyRenamed: on PostgreSQL, where a column is known by its number, the key is the same column under its new name; also for Keep.
func TestDeclaredKeyRenamed(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY DEFERRABLE, code text NOT NULL UNIQUE)")
		w.capture(capture.Table{Name: "t", Key: []string{"code"}})
		w.exec("ALTER TABLE t RENAME code TO number")
		w.wantWarning("its key stays (number), which was named before; to go back to the primary key, name its columns in Key: id", capture.Table{Name: "t"})
		if got := w.keep(capture.Table{Name: "t"}); !strings.Contains(got, "the key of \"public\".\"t\" stays (number), although this program's list has none") {
			t.Errorf("Keep says %s", got)
		}
		if got := w.keyOf(); got != "number" {
			t.Errorf("the key is (%s)", got)
		}
		w.capture(capture.Table{Name: "t", Key: []string{"id"}})
		if got := w.keyOf(); got != "id" {
			t.Errorf("after the primary key was named, it is (%s)", got)
		}
	})
}
