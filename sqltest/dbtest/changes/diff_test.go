package changes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestDiffOfWhatWasCaptured has each kind of value from the triggers.
func TestDiffOfWhatWasCaptured(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, plain text, card text, pin text, long text, longest text)", "ALTER TABLE t ALTER longest SET STORAGE external")
		w.capture(capture.Table{Name: "t", Mask: []string{"card"}, Hash: []string{"pin"}})
		w.exec("INSERT INTO t VALUES (1, NULL, 'c', 'p', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 3000) n), repeat('x', 17000000))")
		var got []string
		for _, c := range w.all(changes.Query{}) {
			for _, f := range c.Diff().Fields {
				got = append(got, fmt.Sprint(f.Name, " ", f.Old.Kind, " ", f.New.Kind, " ", len(f.New.Hash), " ", f.New.Length, " ", len(f.New.SHA256), " ", f.New.Stored))
			}
		}
		if want := "id absent value 0 0 0 0, plain absent null 0 0 0 0, card absent masked 0 0 0 0, pin absent hashed 64 0 0 0, long absent shortened 0 96000 64 0, longest absent shortened 0 0 0 17000000"; strings.Join(got, ", ") != want {
			w.Errorf("%s\nwant\n%s", strings.Join(got, ", "), want)
		}
	}, dbtest.PostgresEngines()[0])
}
