// Package parquet writes exports as Parquet: a table of [export.Row], compressed with Zstandard, with the columns' names of
// CSV. An empty text is null. Times are TIMESTAMP in microseconds, in UTC.
//
//	manifest, err := export.Files(ctx, dir, reader, query, parquet.Format(), nil)
package parquet

import (
	"io"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/go-aftercommit/aftercommit/threadline/export"
)

// Rows are written in groups, of so many rows or, in memory, about so many bytes.
const (
	groupRows  = 20_000
	groupBytes = 8 << 20
)

// Format returns the form of files.
func Format() export.Format { return format{} }

type format struct{}

func (format) Name() string      { return "parquet" }
func (format) Version() int      { return 1 }
func (format) Extension() string { return ".parquet" }

// CountRows implements [export.RowCounter]. It reads the number of rows in each group, which is at the end of the file.
func (format) CountRows(r io.Reader) (rows int64, err error) {
	t := &tail{}
	if _, err = io.Copy(t, r); err != nil {
		return 0, err
	}
	f, err := parquet.OpenFile(t, t.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return 0, err
	}
	for _, g := range f.RowGroups() {
		rows += g.NumRows()
	}
	return rows, nil
}

func (format) Begin(w io.Writer) (export.Encoder, error) {
	return &encoder{w: parquet.NewGenericWriter[row](w, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("aftercommit", "1", ""))}, nil
}

type encoder struct {
	w           *parquet.GenericWriter[row]
	one         [1]row
	rows, bytes int
}

func (e *encoder) Encode(entry export.Entry) error {
	r, err := export.RowOf(entry)
	if err != nil {
		return err
	}
	e.one[0] = row(r)
	if _, err = e.w.Write(e.one[:]); err != nil {
		return err
	}
	e.rows++
	e.bytes += len(r.Fields) + len(r.Changed) + len(r.Metadata) + len(r.Comment) + 512
	if e.rows < groupRows && e.bytes < groupBytes {
		return nil
	}
	e.rows, e.bytes = 0, 0
	return e.w.Flush()
}

func (e *encoder) Close(bool) error { return e.w.Close() }

// row is an [export.Row] with the tags of this library. It does not compile if the two differ.
type row struct {
	Kind          export.Kind `parquet:"kind,dict"`
	ID            string      `parquet:"id"`
	Time          time.Time   `parquet:"time,timestamp(microsecond)"`
	OccurredAt    *time.Time  `parquet:"occurred_at,optional,timestamp(microsecond)"`
	Who           string      `parquet:"who,optional,dict"`
	ActorType     string      `parquet:"actor_type,optional,dict"`
	ActorID       string      `parquet:"actor_id,optional"`
	ActorName     string      `parquet:"actor_name,optional"`
	OnBehalfOf    string      `parquet:"on_behalf_of,optional"`
	TenantID      string      `parquet:"tenant_id,optional"`
	RequestID     string      `parquet:"request_id,optional"`
	CorrelationID string      `parquet:"correlation_id,optional"`
	CausationID   string      `parquet:"causation_id,optional"`
	JobID         string      `parquet:"job_id,optional"`
	IPAddress     string      `parquet:"ip_address,optional"`
	UserAgent     string      `parquet:"user_agent,optional"`
	Action        string      `parquet:"action,optional,dict"`
	Outcome       string      `parquet:"outcome,optional,dict"`
	TargetType    string      `parquet:"target_type,optional,dict"`
	TargetID      string      `parquet:"target_id,optional"`
	TargetName    string      `parquet:"target_name,optional"`
	Reason        string      `parquet:"reason,optional"`
	Comment       string      `parquet:"comment,optional"`
	Metadata      string      `parquet:"metadata,optional"`
	Captured      bool        `parquet:"captured"`
	Unreadable    string      `parquet:"unreadable,optional"`
	Op            string      `parquet:"op,optional,dict"`
	Schema        string      `parquet:"schema,optional,dict"`
	Table         string      `parquet:"table,optional,dict"`
	Key           string      `parquet:"key,optional"`
	FormerKey     string      `parquet:"former_key,optional"`
	Changed       string      `parquet:"changed,optional"`
	Fields        string      `parquet:"fields,optional"`
	State         string      `parquet:"state,optional,dict"`
	Drifted       bool        `parquet:"drifted"`
	Nested        bool        `parquet:"nested"`
	ForeignKey    string      `parquet:"foreign_key,optional"`
	Application   string      `parquet:"application,optional,dict"`
	Host          string      `parquet:"host,optional,dict"`
	Role          string      `parquet:"role,optional,dict"`
	Client        string      `parquet:"client,optional"`
	TxID          string      `parquet:"tx_id,optional"`
	TxStartedAt   *time.Time  `parquet:"tx_started_at,optional,timestamp(microsecond)"`
}
