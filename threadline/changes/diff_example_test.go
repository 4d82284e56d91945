package changes_test

import (
	"encoding/json"
	"os"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

func ExampleChange_Diff() {
	before, after := "new", "paid"
	at := time.Date(2026, 11, 30, 10, 0, 0, 1000, time.UTC)
	change := changes.Change{ // one of Store.Page
		XID: 775, TxStartedAt: at, CapturedAt: at.Add(time.Microsecond), Op: changes.Update, Schema: "public", Table: "orders", Key: []string{"42"},
		By:     &changes.Attribution{State: changes.Recorded, Contexts: []changes.Context{{Actor: hooks.Actor{Type: hooks.User, ID: "alice"}}}},
		Fields: []changes.Field{{Name: "status", Type: "text", Old: changes.Value{Text: &before}, New: changes.Value{Text: &after}}},
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
