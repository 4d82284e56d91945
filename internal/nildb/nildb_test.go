package nildb

import (
	"database/sql"
	"errors"
	"testing"
)

func TestReplace(t *testing.T) {
	db := sql.OpenDB(missing{})
	defer db.Close()
	if Replace(db) != db {
		t.Error("a database was replaced")
	}
	if err := Replace(nil).PingContext(t.Context()); !errors.Is(err, Err) {
		t.Errorf("%v, want %v", err, Err)
	}
}
