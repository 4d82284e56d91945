package change_test

import (
	"encoding/json"
	"os"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
)

func ExampleChange_Diff() {
	before, after := "new", "paid"
	at := time.Date(2026, 11, 30, 10, 0, 0, 1000, time.UTC)
	change := change.Change{ // one of Store.Page
		XID: 775, TxStartedAt: at, CapturedAt: at.Add(time.Microsecond), Op: change.Update, Schema: "public", Table: "orders", Key: []string{"42"},
		By:     &change.Attribution{State: change.Recorded, Contexts: []change.Context{{Actor: hooks.Actor{Type: hooks.User, ID: "alice"}}}},
		Fields: []change.Field{{Name: "status", Type: "text", Old: change.Value{Text: &before}, New: change.Value{Text: &after}}},
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	if err := e.Encode(change.Diff()); err != nil {
		panic(err)
	}
	// Output:
	// {
	//   "op": "update",
	//   "schema": "public",
	//   "table": "orders",
	//   "key": [
	//     "42"
	//   ],
	//   "xid": "775",
	//   "tx_started_at": "2026-11-30T10:00:00.000001Z",
	//   "captured_at": "2026-11-30T10:00:00.000002Z",
	//   "by": {
	//     "state": "recorded",
	//     "actors": [
	//       {
	//         "type": "user",
	//         "id": "alice"
	//       }
	//     ]
	//   },
	//   "fields": [
	//     {
	//       "name": "status",
	//       "type": "text",
	//       "old": {
	//         "kind": "value",
	//         "text": "new"
	//       },
	//       "new": {
	//         "kind": "value",
	//         "text": "paid"
	//       }
	//     }
	//   ]
	// }
}
