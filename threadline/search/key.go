package search

import (
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/internal/near"
)

// key is what may stand before a colon.
type key struct {
	name, doc string
	// param is the key of threadline.ParseQuery, "" where actions have no such thing.
	param  string
	values []string // all there are, or some to begin with
	closed bool     // values are all there are
	many   bool     // may be given several times
	// actions says that row changes have no such thing.
	actions bool
	time    bool
}

var keys = []key{
	{name: "actor", param: "actor", doc: "who: user:42, 42, user, unattributed", values: []string{
		string(hooks.User), string(hooks.Admin), string(hooks.ServiceAccount), string(hooks.Job), string(hooks.System), string(hooks.Anonymous), threadline.Unattributed,
	}},
	{name: "action", param: "action", actions: true, doc: "what was done: order.refunded, order.*"},
	{name: "target", param: "target", doc: "to what: order:42, order"},
	{name: "table", param: "target_type", doc: "in which table"},
	{name: "tenant", param: "tenant", doc: "for which tenant"},
	{name: "correlation", param: "correlation_id", doc: "with which correlation ID"},
	{name: "request", param: "request_id", doc: "in which request"},
	{name: "outcome", param: "outcome", actions: true, doc: "how it ended", closed: true, values: []string{string(hooks.Success), string(hooks.Failure), string(hooks.Errored)}},
	{name: "after", param: "from", doc: "from this time on: 2d, today, 2026-11-30T10:00Z", time: true, values: times},
	{name: "before", param: "to", doc: "before this time: 3h, yesterday, 2026-11-30", time: true, values: times},
	{name: "op", doc: "of row changes: what was done", closed: true, values: []string{"insert", "update", "delete", "truncate"}},
	{name: "field", doc: "of row changes: a field that changed", many: true},
}

var times = []string{"1h", "1d", "1w", "today", "yesterday", "now"}

// images are the keys of the values of a field.
var images = map[string]key{
	"old": {doc: "of row changes: the field's value before"},
	"new": {doc: "of row changes: the field's value since"},
}

// others are keys of other programs, and what they are here.
var others = map[string]string{
	"user": "actor", "who": "actor", "author": "actor", "by": "actor", "from": "after", "since": "after", "until": "before", "to": "before",
	"event": "action", "name": "action", "object": "target", "entity": "target", "operation": "op", "verb": "op", "column": "field", "status": "outcome",
	"correlation_id": "correlation", "request_id": "request", "tenant_id": "tenant", "target_type": "table",
}

func names() []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.name
	}
	return list
}

func find(name string) (key, bool) {
	if i := slices.IndexFunc(keys, func(k key) bool { return k.name == name }); i >= 0 {
		return keys[i], true
	}
	if side, field, ok := cutImage(name); ok && field != "" {
		k := images[side]
		k.name = name
		return k, true
	}
	return key{}, false
}

// nearKey returns the key that was meant, or "".
func nearKey(name string) string {
	if meant := others[strings.ToLower(name)]; meant != "" {
		return meant
	}
	return near.Of(name, names())
}
