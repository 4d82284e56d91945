package hooks_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

func TestNoticeAsJSON(t *testing.T) {
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	id := uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	tests := map[string]struct {
		notice hooks.Notice
		want   string
	}{
		"with an error": {
			hooks.Notice{
				Kind: hooks.NoticeFailed, Time: at, Driver: "pg", Events: []uuid.UUID{id}, Count: 1, Forwarder: "sink/default", Dispatch: "async",
				Attempt: 2, NextAt: at, Reason: "timeout", Permanent: true, Duration: time.Second, Err: errors.New(`it is "down"`),
			},
			`{"kind":"failed","time":"2026-03-14T15:09:26Z","driver":"pg","events":["01890a5d-ac96-774b-bcce-b302099a8057"],"count":1,` +
				`"forwarder":"sink/default","dispatch":"async","attempt":2,"next_at":"2026-03-14T15:09:26Z","reason":"timeout","permanent":true,"duration_ns":1000000000,` +
				`"error":"it is \"down\""}`,
		},
		"without": {
			hooks.Notice{Kind: hooks.NoticeLogged, Time: at, Count: 3},
			`{"kind":"logged","time":"2026-03-14T15:09:26Z","count":3}`,
		},
	}
	for name, test := range tests {
		for form, v := range map[string]any{"value": test.notice, "pointer": &test.notice} {
			got, err := json.Marshal(v)
			if err != nil || string(got) != test.want {
				t.Errorf("%s, as a %s: %s, %v\nwant %s", name, form, got, err, test.want)
			}
		}
	}
}
