package dbtest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq" // the harness's own connections
)

// Cluster is a PostgreSQL server with a data folder of its own, which go away
// together. Its superuser is postgres, without a password. It listens on a Unix
// socket and on a port of 127.0.0.1.
//
// Database, DSN and Addr may be called concurrently, the others not.
type Cluster struct {
	bin   string
	dir   string // data, socket and log
	port  int
	conf  []string
	cred  *syscall.Credential
	proc  *process
	watch *watchdog
	dbs   databases
}

// Options are what a cluster can be started with; nil is the zero value.
type Options struct {
	// Durable leaves fsync on, for tests that crash the server and care what
	// remains.
	Durable bool
	// Settings are lines of postgresql.conf, as "wal_level=logical". They win
	// over the harness's own.
	Settings []string
}

// Start starts a cluster for one test, which removes it at its end.
func Start(tb testing.TB, opts *Options) *Cluster {
	tb.Helper()
	c, err := start(RequirePostgres(tb), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.remove(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func start(bin string, opts *Options) (*Cluster, error) {
	if opts == nil {
		opts = &Options{}
	}
	cred, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, err := makeDir(cred)
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, dir: dir, cred: cred}
	if c.watch, err = watch(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.init(opts); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

// makeDir returns a new folder that the server's account owns. A socket's path
// may have 107 bytes, which some temporary folders exceed by themselves.
func makeDir(cred *syscall.Credential) (string, error) {
	parent := os.TempDir()
	if len(parent) > 60 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "dbtest")
	if err != nil {
		return "", fmt.Errorf("dbtest: %w", err)
	}
	if cred != nil {
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			return "", errors.Join(fmt.Errorf("dbtest: %w", err), os.RemoveAll(dir))
		}
	}
	return dir, nil
}

func (c *Cluster) init(opts *Options) error {
	cmd := exec.CommandContext(context.Background(), filepath.Join(c.bin, "initdb"),
		"--no-sync", "-A", "trust", "-U", "postgres", "--no-locale", "-E", "UTF8", "-D", c.data())
	cmd.SysProcAttr = attributes(c.cred)
	cmd.Dir = c.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("dbtest: initdb: %w\n%s", err, out)
	}
	c.conf = []string{
		"unix_socket_directories=" + c.dir,
		"listen_addresses=127.0.0.1",
		"max_connections=100",
		"max_prepared_transactions=20",
		"shared_buffers=32MB",
		"autovacuum=off",
		"log_min_messages=warning",
		"lock_timeout=3min", // a test that blocks itself ends with an error
	}
	if !opts.Durable {
		c.conf = append(c.conf, "fsync=off", "full_page_writes=off")
	}
	c.conf = append(c.conf, opts.Settings...)
	// Between our look at a port and the server's bind another process may
	// take it.
	var err error
	for range 5 {
		if c.port, err = freePort(); err != nil {
			return err
		}
		if err = c.run(); err == nil {
			return nil
		}
	}
	return err
}

func freePort() (int, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("dbtest: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// run starts the server on c.port and waits until it answers.
func (c *Cluster) run() error {
	args := []string{"-D", c.data(), "-p", strconv.Itoa(c.port)}
	for _, line := range c.conf {
		args = append(args, "-c", line)
	}
	proc, err := spawn(filepath.Join(c.bin, "postgres"), args, c.dir, c.log(), c.cred)
	if err != nil {
		return err
	}
	c.proc = proc
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	db, err := sql.Open("postgres", c.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("dbtest: %w", err)
	}
	defer db.Close()
	for db.PingContext(ctx) != nil {
		select {
		case <-proc.done:
			return fmt.Errorf("dbtest: the server ended while it started:\n%s", c.logTail())
		case <-ctx.Done():
			return fmt.Errorf("dbtest: the server does not answer:\n%s", c.logTail())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }
func (c *Cluster) log() string  { return filepath.Join(c.dir, "log") }

func (c *Cluster) logTail() []byte {
	text, err := os.ReadFile(c.log())
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.Split(text, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-20):], []byte("\n"))
}

// DSN returns a data source name that lib/pq and pgx both read, for a database
// of the cluster through its Unix socket. The parameters are in the form
// "key=value".
func (c *Cluster) DSN(database string, params ...string) string {
	return strings.Join(append([]string{
		"host=" + c.dir, "port=" + strconv.Itoa(c.port),
		"user=postgres", "dbname=" + database, "sslmode=disable",
	}, params...), " ")
}

// Addr returns the server's address on TCP.
func (c *Cluster) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) }

// Via returns dsn with its server replaced by the one at a TCP address, such as
// [Cluster.Addr] or [Proxy.Addr]. In both drivers the last value of a key wins.
func Via(dsn, addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err)
	}
	return dsn + " host=" + host + " port=" + port
}
