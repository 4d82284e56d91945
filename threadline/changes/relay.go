package changes

import (
	"context"
	"database/sql"
	"maps"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// NewRelayStore returns the relay's store for a program that delivers nothing itself, such as a tool for operators. It finds out which
// forwarders get row changes, and sets their [relay.Options.Changes], so that the store counts and replays these, too. history says where
// the row changes are. The other options are those given; nil means defaults.
func NewRelayStore(ctx context.Context, db *sql.DB, dialect hooks.Dialect, opts *relay.Options, history *Options) (*relay.Store, error) {
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
		if st.EventsOnlyReason != "" {
			with.Changes[st.Forwarder] = NewSource(history)
		}
	}
	return relay.New(dialect, &with)
}
