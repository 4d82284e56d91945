package search_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/search"
)

// now is time.Now().UTC() in a program; its zone is that of days and dates.
var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func ExampleParse() {
	terms, err := search.Parse(`actor:alice target:order:42 -outcome:success after:2d "refund"`)
	if err != nil {
		fmt.Println(err)
		return
	}
	q, err := terms.Actions(now) // for threadline.Store.Timeline
	fmt.Println(q.ActorID, q.TargetType, q.TargetID, q.Not[0].Outcome, q.From, q.Text, err)
	// Output:
	// alice order 42 success 2026-11-28 12:00:00 +0000 UTC [refund] <nil>
}

// An error points at the word, and may know what was meant.
func ExampleError() {
	text := "outcome:error actr:alice"
	_, err := search.Parse(text)
	var wrong *search.Error
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Point(text))
		fmt.Println("Did you mean " + wrong.Near + "?")
	}
	// Output:
	// outcome:error actr:alice
	//               ^^^^
	// Did you mean actor?
}

// Actions have no fields, and a search for one is not answered as if it were not there.
func ExampleTerms_Actions() {
	terms, err := search.Parse("target:order:42 field:status")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = terms.Actions(now)
	fmt.Println(errors.Is(err, search.ErrChangesOnly))
	fmt.Println(err)
	// Output:
	// true
	// search: at byte 16: "field:status": asks for what no action has: only row changes can answer it
}

// The same words ask for row changes.
func ExampleTerms_Changes() {
	terms, err := search.Parse("actor:alice table:orders -op:delete field:status new.status:paid after:2d")
	if err != nil {
		fmt.Println(err)
		return
	}
	q, err := terms.Changes(now) // for changes.Store.Page
	fmt.Println(q.ActorID, q.Tables, q.Not[0].Ops, q.Fields, q.New[0].Field, q.New[0].Text, q.From, err)
	// Output:
	// alice [orders] [delete] [status] status paid 2026-11-28 12:00:00 +0000 UTC <nil>
}

// Everything alice did to orders since Monday, actions and row changes together.
func ExampleTerms_Trail() {
	terms, err := search.Parse("actor:alice table:orders -field:note after:2026-11-30")
	if err != nil {
		fmt.Println(err)
		return
	}
	q, err := terms.Trail(now) // for trail.Reader.Page
	fmt.Println(q.ActorID, q.Tables, q.Not[0].Fields, q.From, err)
	// Output:
	// alice [orders] [note] 2026-11-30 00:00:00 +0000 UTC <nil>
}

// What only the database knows is an error of the page. Explain points at its word.
func ExampleTerms_Explain() {
	text := "actor:alice table:ordres"
	terms, err := search.Parse(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	// What changes.Store.Page or trail.Reader.Page returns.
	err = &changes.QueryError{Field: "table", Reason: `no table "ordres" was ever captured: did you mean "orders"?`}

	var wrong *search.Error
	if errors.As(terms.Explain(err), &wrong) {
		fmt.Println(wrong.Point(text))
		fmt.Println(wrong.Reason)
	}
	// Output:
	// actor:alice table:ordres
	//             ^^^^^^^^^^^^
	// no table "ordres" was ever captured: did you mean "orders"?
}

// What a search field offers while somebody types.
func ExampleComplete() {
	tables := func(key, begun string) []string {
		if key == "table" {
			return []string{"orders", "order lines", "users"} // those that begin so are chosen
		}
		return nil
	}
	for _, s := range search.Complete("ta", 2, tables) {
		fmt.Println(s.Text, "-", s.Doc)
	}
	for _, s := range search.Complete("table:ord", 9, tables) {
		fmt.Println(s.Text)
	}
	// Output:
	// target: - to what: order:42, order
	// table: - in which table
	// orders
	// "order lines"
}
