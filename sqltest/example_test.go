package sqltest_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"go.uber.org/zap"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// What an app has committed is what a Recorder has got; a test asks it with Only and None. The
// base here is a fake driver, but can be any.
func ExampleRecorder() {
	committed := sqltest.NewRecorder()
	audit := forward.New(&forward.Options{NoJournal: true, Logger: zap.NewNop()})
	audit.Register(committed, forward.Sync)
	adriver.Register("shop-recorded", sqltest.NewFake().Register(), audit,
		adriver.WithDialect(hooks.Postgres), adriver.Capture(adriver.AllTables()))

	db, err := sql.Open("shop-recorded", "")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		tx, err := db.BeginTx(context.Background(), nil)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := tx.ExecContext(context.Background(), "INSERT INTO orders (id) VALUES (42)"); err != nil {
			log.Fatal(err)
		}
		if err := end(tx); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(committed.Actions())
	// Output: [orders.inserted]
}

// A server that loses the connection after it has committed.
func ExampleFake() {
	fake := sqltest.NewFake()
	fake.On(sqltest.Call{Method: "Commit"}, sqltest.Lose().After())
	db := sql.OpenDB(fake)
	defer db.Close()

	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := tx.ExecContext(context.Background(), "INSERT INTO orders (id) VALUES (42)"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(tx.Commit())
	fmt.Println(fake.CommittedQueries())
	// Output:
	// driver: bad connection
	// [INSERT INTO orders (id) VALUES (42)]
}
