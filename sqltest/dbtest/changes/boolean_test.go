package changes_test

import (
	"errors"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/search"
)

// TestBooleans: who looks for true is told to look for t, unless there may be such a value.
func TestBooleans(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, paid boolean, note text)", "CREATE TABLE u (id int PRIMARY KEY, paid text)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"})
		w.exec("INSERT INTO t VALUES (1, true, 'true')", "INSERT INTO u VALUES (1, 'true')")
		for text, want := range map[string]string{
			"table:t new.paid:true":  `search: at byte 8: "new.paid:true": "true" is no value of a boolean, which PostgreSQL prints as t or f: write new.paid:t`,
			"table:t old.paid:false": `search: at byte 8: "old.paid:false": "false" is no value of a boolean, which PostgreSQL prints as t or f: write old.paid:f`,
			"table:t new.paid:t":     "",
			"table:t new.note:true":  "",
			"table:u new.paid:true":  "",
		} {
			terms, err := search.Parse(text)
			w.must(err)
			query, err := terms.Changes(time.Now())
			w.must(err)
			page, err := w.store.Page(ctx, query)
			var wrong *changes.QueryError
			switch err = terms.Explain(err); {
			case want == "" && (err != nil || len(page.Changes) != 1):
				w.Errorf("%s: %v, %v", text, page.Changes, err)
			case want != "" && (err == nil || err.Error() != want):
				w.Errorf("%s: %v, want %s", text, err, want)
			case want != "" && !errors.As(err, &wrong):
				w.Errorf("%s: %v is not a QueryError", text, err)
			}
		}
	})
}
