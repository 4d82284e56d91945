package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lib/pq"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/lib/pq/pqerror"
)

// closedPort is one on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err = l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// TestUnreachable: each way in which a database cannot be asked exits with 3, says what to do, and shows no password.
func TestUnreachable(t *testing.T) {
	w := newWorld(t)
	for _, q := range []string{"CREATE ROLE nobody_here LOGIN", "CREATE ROLE nobody_fits LOGIN CONNECTION LIMIT 0", "CREATE DATABASE nobody_enters", "REVOKE CONNECT ON DATABASE nobody_enters FROM public"} {
		w.exec(w.db, q)
	}
	w.Cleanup(func() {
		w.exec(w.db, "DROP ROLE nobody_here", "DROP ROLE nobody_fits", "DROP DATABASE nobody_enters")
	})
	junk := filepath.Join(t.TempDir(), "junk.db")
	if err := os.WriteFile(junk, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGPASSWORD", "s3cret")
	for dsn, want := range map[string]string{
		"postgres://postgres:s3cret@" + closedPort(t) + "/shop?sslmode=disable": "is the server running",
		"postgres://postgres:s3cret@no-such-host.invalid/shop?sslmode=disable":  "check the name of the host",
		"postgres://postgres:s3cret@/shop?host=/no/such/folder&sslmode=disable": "no server has its socket there",
		w.dsn + " password=s3cret host=127.0.0.1 sslmode=require":               "sslmode=disable",
		w.dsn + " password=s3cret dbname=no_such_database":                      "check the name of the database",
		w.dsn + " password=s3cret user=no_such_user":                            "check the user",
		w.dsn + " password=s3cret user=nobody_fits":                             "raise the limit",
		w.dsn + " password=s3cret user=nobody_here dbname=nobody_enters":        "GRANT CONNECT",
		w.dsn + " password=s3cret user=nobody_here":                             "permission denied",
		junk:                          "the file is no SQLite database",
		filepath.Dir(junk):            "is a folder",
		filepath.Join(junk, "no.db"):  "no SQLite file",
		filepath.Dir(junk) + "/no.db": "no SQLite file",
	} {
		t.Setenv("DATABASE_URL", dsn)
		for _, args := range [][]string{{"history", "orders", "42"}, {"search"}, {"doctor"}, {"migrate", "status"}, {"forwarders", "status"}, {"coverage"}} {
			if args[0] != "history" && want == "permission denied" {
				continue // what a role may do is another test's
			}
			if r := run(t, args...); r.code != exitUnreachable || !strings.Contains(r.err, want) || strings.Contains(r.err, "s3cret") || r.out != "" {
				t.Errorf("%s, %v: %d, %q; want %q", dsn, args, r.code, r.err, want)
			}
		}
	}
}

// TestLockedFile: a SQLite file that another program writes to.
func TestLockedFile(t *testing.T) {
	noDatabase(t)
	file := filepath.Join(t.TempDir(), "shop.db")
	db := dbtest.Open(t, "sqlite", "file:"+file)
	w := &world{T: t}
	w.exec(db, "CREATE TABLE orders (id integer PRIMARY KEY)")
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err = conn.ExecContext(ctx, "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "migrate", "up", "--database-url", file); r.code != exitUnreachable || !strings.Contains(r.err, "try again when it has finished") {
		t.Errorf("%d, %s", r.code, r.err)
	}
}

// TestHints are those for what cannot be made here.
func TestHints(t *testing.T) {
	server := func(code, text string) error { return &pq.Error{Code: pqerror.Code(code), Message: text} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{server("28000", `no pg_hba.conf entry for host "10.0.0.9", user "app", database "shop", no encryption`), "sslmode=require"},
		{server("28000", `no pg_hba.conf entry for host "10.0.0.9", user "app", database "shop", SSL encryption`), "administrator has to add an entry"},
		{server("28000", `kein pg_hba.conf-Eintrag für Host »10.0.0.9«, SSL off`), "sslmode=require"},
		{server("28P01", `password authentication failed for user "app"`), "PGPASSWORD or ~/.pgpass"},
		{server("53300", "sorry, too many clients already"), "try again"},
		{server("57P03", "the database system is starting up"), "in a moment"},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "sslrootcert"},
		{&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "db"}}, "sslmode=verify-ca"},
		{&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: &x509.Certificate{}}}, "the clocks"},
		{errors.New("what nobody knows"), "is the server running"},
	} {
		err := unreachable(fmt.Errorf("dial: %w", c.err))
		var f *failure
		if !errors.As(err, &f) || f.code != exitUnreachable || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v; want %q", err, c.want)
		}
	}
}
