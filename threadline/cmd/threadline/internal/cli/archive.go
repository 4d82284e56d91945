package cli

import (
	"context"
	"fmt"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// archive says of which database this one is an archive, as a sentence without its end; it is "" if it is none.
func (a *app) archive(ctx context.Context, t *target) (string, error) {
	from, err := t.rows().CopiedFrom(ctx)
	if err != nil || len(from) == 0 {
		return "", err
	}
	return a.archiveOf(from[0]), nil
}

func (a *app) archiveOf(from changes.Copied) string {
	return fmt.Sprintf("this is an archive of the row changes of database %s; the last were copied at %s, %s", from.Place, a.screen.Second(from.At), a.screen.ZoneName())
}
