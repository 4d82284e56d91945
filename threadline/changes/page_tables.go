package changes

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/internal/near"
)

// ErrNotCaptured means that a table was never captured. A page returns it in a [*QueryError] that says what to do. A program
// that also shows actions may show those alone.
var ErrNotCaptured = change.ErrNotCaptured

// refusal is a [QueryError] that is also ErrNotCaptured, ErrKey or ErrNoKey.
type refusal struct {
	*QueryError
	is error
}

func (e *refusal) Unwrap() []error { return []error{e.QueryError, e.is} }

// refuseTables refuses names that no captured table ever had: an empty page would look as if nothing had ever changed.
// all are the captured tables. Names in Query.Not are not refused, since leaving out an unknown table leaves out nothing.
func (r *pageReader) refuseTables(ctx context.Context, all map[int64]capturedNames) error {
	names := r.query.Tables
	if len(names) == 0 && r.query.Schema != "" {
		names = []string{""}
	}
	for _, name := range names {
		one := Query{Schema: r.query.Schema}
		if name != "" {
			one.Tables = []string{name}
		}
		known := false
		for _, n := range all {
			known = known || n.is(&one, r.reader.Aliases)
		}
		if known {
			continue
		}
		instead, err := r.instead(ctx, name, all)
		if err != nil {
			return err
		}
		what := "table " + strconv.Quote(name)
		switch {
		case name == "":
			what = "table of schema " + strconv.Quote(r.query.Schema)
		case r.query.Schema != "":
			what += " of schema " + strconv.Quote(r.query.Schema)
		}
		return &refusal{refuse("table", "no %s was ever captured%s", what, instead), ErrNotCaptured}
	}
	return nil
}

// fewNames is how many names of tables an error lists at most.
const fewNames = 5

// instead returns the rest of the error for a name that no captured table ever had: what was meant, or what there is.
func (r *pageReader) instead(ctx context.Context, name string, all map[int64]capturedNames) (string, error) {
	var full, words []string
	qualified := make(map[string]string)
	for _, n := range all {
		for _, one := range n {
			f := one[0] + "." + one[1]
			full = append(full, f)
			for _, word := range []string{one[1], f} {
				words = append(words, word)
				qualified[word] = f
			}
		}
	}
	slices.Sort(full)
	full = slices.Compact(full)
	slices.Sort(words)
	there, target, err := r.uncaptured(ctx, name)
	if err != nil {
		return "", err
	}
	capture := "to capture it, name it in capture.Of, or apply a plan for it" + target
	if len(full) == 0 {
		return there + ", nor any other: " + capture + r.reader.NoCopies(), nil
	}
	behind, err := r.behind(ctx, name)
	if err != nil {
		return "", err
	}
	for _, b := range behind {
		if f := qualified[b]; f != "" {
			return fmt.Sprintf(" by itself: its changes are those of %q", f), nil
		}
	}
	if there != "" {
		return there + ": " + capture, nil
	}
	if r.query.Schema != "" { // perhaps a table of another schema was meant
		words = full
	}
	if meant := near.Of(name, words); name != "" && meant != "" {
		return fmt.Sprintf(": did you mean %q? Otherwise, %s", meant, capture), nil
	}
	list := make([]string, 0, fewNames)
	for _, f := range full[:min(len(full), fewNames)] {
		list = append(list, strconv.Quote(f))
	}
	more := ""
	if n := len(full) - len(list); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return ", but " + strings.Join(list, ", ") + more + ": " + capture, nil
}

// behind returns the tables that a write to a view or a partition of that name may change.
func (r *pageReader) behind(ctx context.Context, name string) (names []string, err error) {
	if r.reader.Catalog.Dialect != hooks.Postgres {
		return nil, nil
	}
	name = strings.TrimPrefix(name, "public.")
	reached := make(map[string][]string)
	err = reach(ctx, r.tx, reached, []string{name})
	return reached[name], err
}
