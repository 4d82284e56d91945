package relay

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/nildb"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// place names the database and its environment.
func (s *Store) place(ctx context.Context, q querier) (string, error) {
	var place string
	env := s.env
	if env != "" {
		env = " " + env
	}
	query := s.d.place(s.quote(env)) // as the database can store it
	err := q.QueryRowContext(ctx, "SELECT "+s.d.read(query)).Scan(s.d.scan(&place))
	return place, err
}

// elsewhere is whether the cursor of the forwarder f does not belong to a place.
func (s *Store) elsewhere(place string) string {
	return "(f.place <> " + s.quote(place) + " OR " + s.d.ahead(s) + ")"
}

// Place names the database that db is, and the Store's Environment, in ASCII. It is never
// empty, and needs no right but to connect. Jobs of a Queue carry it. On SQLite it has the
// Environment only.
func (s *Store) Place(ctx context.Context, db *sql.DB) (string, error) {
	db = nildb.Replace(db)
	place, err := s.place(ctx, db)
	if err != nil {
		return "", fmt.Errorf("relay: ask which database this is: %w", err)
	}
	if database, env, _ := strings.Cut(place, " "); database == "" {
		place = strings.TrimSpace("file " + env)
	}
	return pgtext.Written(place), nil
}

// PlaceError says that a cursor was made, or jobs were enqueued, in another database than
// this one, which is a copy, or was restored, or has been promoted with a loss.
type PlaceError struct {
	Forwarder, Was, Is string
	// Jobs says that it is about jobs of a Queue.
	Jobs bool
}

// Error says what to do. What follows the first blank in a place is its environment.
func (e *PlaceError) Error() string {
	made, belongs, choice := "relay: the cursor of "+e.Forwarder+" was made", "relay: the cursor of "+e.Forwarder+" belongs to",
		"delivery waits until you call Store.Resume: with replay the forwarder gets all that it may have missed, perhaps some of it twice; without, it skips what is in the journal"
	if e.Jobs {
		made, belongs = "forward: jobs for "+e.Forwarder+" were enqueued", "forward: jobs for "+e.Forwarder+" come from"
		choice = "these jobs wait until you call river.Resume: with replay the forwarder gets their events, perhaps a second time; without, they are cancelled"
	}
	was, before, _ := strings.Cut(e.Was, " ")
	if is, now, _ := strings.Cut(e.Is, " "); was == is && before != now {
		return fmt.Sprintf("%s in the environment %q, and this is %q: give forward.Options.Environment the same value in all programs; "+
			"if the environment has changed, or this is a copy, %s", made, before, now, choice)
	}
	return fmt.Sprintf("%s another database (%s, this is %s): this is a copy, or was restored; %s", belongs, e.Was, e.Is, choice)
}
