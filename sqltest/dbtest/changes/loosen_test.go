package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestLoosens: a plan says of which columns it keeps more than before, also of one that was
// renamed, and of none where it keeps less.
func TestLoosens(t *testing.T) {
	each(t, func(w *world) {
		w.exec(`CREATE TABLE t (id int PRIMARY KEY, card text, "Prüf" text, note text)`)
		w.capture(capture.Table{Name: "t", Mask: []string{"card"}, Exclude: []string{"Prüf"}})
		for _, c := range []struct {
			table capture.Table
			want  string
		}{
			{capture.Table{Name: "t"}, `this loosens what there is: "card" was masked and is to be kept, "Prüf" was excluded and is to be kept`},
			{capture.Table{Name: "t", Mask: []string{"card", "Prüf"}}, `this loosens what there is: "Prüf" was excluded and is to be masked`},
			{capture.Table{Name: "t", Mask: []string{"note"}, Exclude: []string{"card", "Prüf"}}, ""},
		} {
			w.wantWarning(c.want, c.table)
		}
		w.exec("ALTER TABLE t RENAME card TO card_number")
		w.wantWarning(`"card_number" was masked and is to be kept`, capture.Table{Name: "t", Exclude: []string{"Prüf"}})
		w.wantWarning("", capture.Table{Name: "t", Mask: []string{"card_number"}, Exclude: []string{"Prüf"}})
		w.capture(capture.Table{Name: "t"})
		w.wantWarning("", capture.Table{Name: "t"})
		w.capture(capture.Table{Name: "t", Mask: []string{"note"}})
		w.exec("ALTER TABLE t RENAME TO u")
		w.wantWarning(`"note" was masked and is to be kept`, capture.Table{Name: "u"})
	})
}

// wantWarning plans, and wants the one warning, or none.
func (w *world) wantWarning(want string, tables ...capture.Table) {
	w.Helper()
	p, err := w.installer().Plan(ctx, tables...)
	w.must(err)
	if got := strings.Join(p.Warnings, "\n"); (want == "") != (got == "") || !strings.HasSuffix(got, want) {
		w.Errorf("%+v: the warnings are %q, want %q", tables, got, want)
	}
}
