package export

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// Summary is what [Write] has written.
type Summary struct {
	Rows, Actions, Changes int64
	// Truncated says that there was more than the query's limit.
	Truncated bool
}

// Write writes what matches q, newest first, into one file. q's limit is that of all, and zero means no limit. Write has one
// page of items in memory, and for Parquet a group of rows. What is committed meanwhile with a later time is not in it: it
// would come before the first item. After an error the file is not whole. Write does not close w.
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
		return fmt.Errorf("export: a query with a cursor: an export begins at the top, leave it out")
	}
	if q.Limit < 0 {
		return fmt.Errorf("export: the limit %d is negative", q.Limit)
	}
	return nil
}
