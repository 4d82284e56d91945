package export_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/export"
	"github.com/go-aftercommit/aftercommit/threadline/search"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

func november(ctx context.Context, reader *trail.Reader) (*export.Manifest, error) {
	terms, err := search.Parse("table:orders after:2026-11-01 before:2026-12-01")
	if err != nil {
		return nil, err
	}
	query, err := terms.Trail(time.Now())
	if err != nil {
		return nil, err
	}
	dir, err := export.MakeDirectory("november")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	manifest, err := export.Files(ctx, dir, reader, query, export.CSV(), &export.Options{Filter: terms.String()})
	if err != nil {
		return export.Resume(ctx, dir, reader, export.Formats(), nil) // now, or in another process
	}
	return manifest, nil
}

func reader() *trail.Reader {
	db, err := sql.Open("postgres", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	return trail.NewReader(threadline.NewStore(db, hooks.Postgres, nil), changes.NewStore(db, hooks.Postgres, nil))
}

// The orders of November, in files for an auditor.
func ExampleFiles() {
	manifest, err := november(context.Background(), reader())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(manifest.Rows, "rows, truncated:", manifest.Truncated)
}

// All that alice did, on stdout.
func ExampleWrite() {
	query := trail.Query{ActorType: hooks.User, ActorID: "alice"}
	if _, err := export.Write(context.Background(), os.Stdout, reader(), query, export.NDJSON()); err != nil {
		log.Fatal(err)
	}
}

// What is wrong with the files, if anything is.
func ExampleVerify() {
	dir, err := export.OpenDirectory("november")
	if err != nil {
		log.Fatal(err)
	}
	defer dir.Close()
	report, err := export.Verify(context.Background(), dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, fault := range report.Faults {
		fmt.Println(fault) // part-000002.csv: its SHA-256 is …, but was …
	}
}
