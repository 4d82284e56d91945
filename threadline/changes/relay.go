package changes

import (
	"context"
	"database/sql"
	"maps"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Relay returns the relay's store for a program that delivers nothing itself, such as one for operators. It counts and replays row changes,
// too, of the forwarders that get some: their [relay.Options.Changes] are set, with history saying where they are. The other options are
// those given; nil means defaults.
func Relay(ctx context.Context, db *sql.DB, dialect hooks.Dialect, opts *relay.Options, history *Options) (*relay.Store, error) {
	if opts == nil {
		opts = &relay.Options{}
	}
	s, err := relay.New(dialect, opts)
	if err != nil {
		return nil, err
	}
	states, err := s.States(ctx, db)
	if err != nil {
		return nil, err
	}
	with := *opts
	with.Changes = make(map[string]relay.Changes)
	maps.Copy(with.Changes, opts.Changes)
	for _, st := range states {
		if st.EventsOnly != "" {
			with.Changes[st.Forwarder] = NewSource(history)
		}
	}
	return relay.New(dialect, &with)
}
