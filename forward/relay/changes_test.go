package relay

import (
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// TestMerge: what is beyond the last row of a stream that has others is left out, since these may come before it.
func TestMerge(t *testing.T) {
	rows := func(xids ...int64) (rows []journal.Row) {
		for _, xid := range xids {
			rows = append(rows, journal.Row{Tx: journal.TxKey{ID: xid}})
		}
		return rows
	}
	s := &Store{d: postgres{}}
	for _, test := range []struct {
		a, b       []journal.Row
		allA, allB bool
		want       string
	}{
		{rows(1, 4), rows(2, 3), true, true, "1 2 3 4 true"},
		{rows(1, 4), rows(2, 3), true, false, "1 2 3 false"},
		{rows(1, 4), rows(2, 6), false, true, "1 2 4 false"},
		{rows(1, 4), rows(2, 3), false, false, "1 2 3 false"},
		{rows(1, 4), rows(5, 6), false, false, "1 4 false"},
		{nil, rows(2, 3), true, false, "2 3 false"},
		{rows(1), nil, false, true, "1 false"},
		{nil, nil, true, true, "true"},
	} {
		merged, all := s.merge(test.a, test.allA, test.b, test.allB)
		got := ""
		for i := range merged {
			got += fmt.Sprint(merged[i].Tx.ID, " ")
		}
		if got += fmt.Sprint(all); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}
