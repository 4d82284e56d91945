package journal

import (
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/eventjson"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

func formatTime(t time.Time) string { return t.UTC().Format(lenient.TimeForm) }

// document encodes events for what takes them apart into rows. raw leaves what is not ASCII as
// it is, for servers that cannot decode \u escapes, and where people read the column metadata.
func document(events []hooks.Event, raw bool) ([]byte, error) {
	const usual = 512 // bytes of an event
	doc, err := eventjson.AppendFlat(make([]byte, 0, usual*len(events)), events, raw)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return doc, nil
}
