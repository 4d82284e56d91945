package eventjson

import "github.com/go-aftercommit/aftercommit/hooks"

// flatTime is fixed in width.
const flatTime = "2006-01-02T15:04:05.000000Z"

// AppendFlat appends an array of events whose actor and target are spread over members of the
// event, as the journal's function record reads them. raw leaves what is not ASCII as it is:
// servers whose encoding is SQL_ASCII cannot decode the escapes.
func AppendFlat(b []byte, events []hooks.Event, raw bool) ([]byte, error) {
	return array(b, events, func(b []byte, e *hooks.Event) ([]byte, error) {
		o := object{b: append(b, '{'), raw: raw}
		o.id("id", e.ID)
		o.name("occurred_at")
		o.b = append(e.OccurredAt.UTC().AppendFormat(append(o.b, '"'), flatTime), '"')
		o.always("action", e.Action)
		o.always("outcome", string(e.Outcome))
		o.text("actor_type", string(e.Actor.Type))
		o.text("actor_id", e.Actor.ID)
		o.text("actor_name", e.Actor.Name)
		o.text("on_behalf_of", e.Actor.OnBehalfOf)
		o.text("target_type", e.Target.Type)
		o.text("target_id", e.Target.ID)
		o.text("target_name", e.Target.Name)
		o.origin(e)
		if err := o.rest(e); err != nil {
			return o.b, err
		}
		return append(o.b, '}'), nil
	})
}
