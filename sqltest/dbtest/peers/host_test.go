package peers_test

import (
	"context"
	"database/sql"
	"net"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// host is the server for the tests of one peer.
type host struct {
	peer    peer
	cluster *dbtest.Cluster
	admin   *sql.DB
	env     []string
}

func newHost(t *testing.T, p peer) *host {
	t.Helper()
	c := dbtest.Shared(t)
	h := &host{peer: p, cluster: c, admin: dbtest.Open(t, "postgres", c.DSN("postgres"))}
	for _, q := range p.setup {
		h.exec(t, q)
	}
	name, port, err := net.SplitHostPort(c.Addr())
	if err != nil {
		t.Fatal(err)
	}
	h.env = p.env(name, port)
	return h
}

func (h *host) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := h.admin.ExecContext(context.Background(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// fresh empties the database that the tests use.
func (h *host) fresh(t *testing.T, v variant) {
	t.Helper()
	h.exec(t, "DROP DATABASE IF EXISTS "+h.peer.database+" WITH (FORCE)")
	h.exec(t, "CREATE DATABASE "+h.peer.database)
	if v.hidden {
		h.exec(t, "ALTER DATABASE "+h.peer.database+" SET search_path = pg_temp, public")
	}
}

// events counts those in the journal that the tests have left behind.
func (h *host) events(t *testing.T) int {
	t.Helper()
	db := dbtest.Open(t, "postgres", h.cluster.DSN(h.peer.database))
	defer db.Close()
	var n int
	err := db.QueryRowContext(context.Background(), "SELECT count(*) FROM aftercommit.audit_events").Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
