package export

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// Summary says what [Write] wrote.
type Summary struct {
	Rows, Actions, Changes int64
	// Truncated says that the query's limit left items out.
	Truncated bool
}

// Write writes the items that match q as one file, the newest first. q.Limit is how many it writes at most; zero means no limit. It
// has one page of items in memory, and for Parquet a row group. Items that are committed meanwhile with a later time are not in
// the file: they would come before the first one. After an error the file is incomplete. Write does not close w.
func Write(ctx context.Context, w io.Writer, r *trail.Reader, q trail.Query, f Format) (*Summary, error) {
	if err := startable(&q); err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	enc, err := f.Begin(out)
	if err != nil {
		return nil, err
	}
	s := &Summary{}
	for e, err := range limited(ctx, r, q, 0, &s.Truncated) {
		if err == nil {
			err = enc.Encode(e)
		}
		if err != nil {
			return nil, err
		}
		s.Rows++
		if e.Action != nil {
			s.Actions++
		} else {
			s.Changes++
		}
	}
	if err = enc.Close(s.Truncated); err != nil {
		return nil, err
	}
	return s, out.Flush()
}

func startable(q *trail.Query) error {
	if q.Cursor != "" {
		return fmt.Errorf("export: the query has a cursor: leave it out, since an export begins with the newest item")
	}
	if q.Limit < 0 {
		return fmt.Errorf("export: the limit %d is negative", q.Limit)
	}
	return nil
}
