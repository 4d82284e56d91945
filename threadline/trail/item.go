package trail

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// Item is an action, or the change of one row. One of the two is nil.
type Item struct {
	Action *threadline.Action
	Change *changes.Change
}

// Time is when the action was recorded, or the row was changed, by the database's clock.
func (i Item) Time() time.Time {
	if i.Action != nil {
		return i.Action.RecordedAt
	}
	return i.Change.CapturedAt
}

// Tx names the transaction. It is zero for an action that was forwarded without a journal.
func (i Item) Tx() journal.TxKey {
	if i.Action != nil {
		return i.Action.Tx
	}
	return journal.TxKey{ID: i.Change.XID, StartedAt: i.Change.TxStartedAt}
}

// Who says for people who it was: the actor of the action, or those of the row change's transaction. Where these are not
// known it describes the session.
func (i Item) Who() string {
	if i.Action != nil {
		return i.Action.ActorRef()
	}
	return i.Change.By.String()
}

// String returns one line for logs and terminals.
func (i Item) String() string {
	if i.Action != nil {
		line := i.Action.String()
		if i.Action.Reason != "" {
			line += ": " + i.Action.Reason
		}
		return line
	}
	var b strings.Builder
	c := i.Change
	b.WriteString(c.CapturedAt.UTC().Format(time.RFC3339) + " " + i.Who() + " " + string(c.Op) + " " + targetType(c.Schema, c.Table))
	if c.Key != nil {
		b.WriteString(" [" + strings.Join(c.Key, ", ") + "]")
	}
	if texts := c.FieldTexts(); len(texts) > 0 {
		b.WriteString(": " + strings.Join(texts, "; "))
	}
	if c.Drifted {
		b.WriteString(" (the whole row was kept)")
	}
	return b.String()
}

// MarshalJSON writes an action as {"action": …}, in the form that [threadline.Action] has, and a row change as {"change": …},
// in that of [changes.Diff].
func (i Item) MarshalJSON() ([]byte, error) {
	if i.Action != nil {
		return json.Marshal(struct {
			Action *threadline.Action `json:"action"`
		}{i.Action})
	}
	return json.Marshal(struct {
		Change changes.Diff `json:"change"`
	}{i.Change.Diff()})
}
