package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// server is a throwaway MariaDB that the tests of this package share. A shell
// starts it, and ends it when its standard input does, which comes by itself when
// the test process dies.
type server struct {
	dir   string
	cmd   *exec.Cmd
	stdin io.Closer
}

const script = `
dir=$1; shift
"$@" >"$dir/log" 2>&1 &
pid=$!
read -r _
kill -KILL $pid
wait $pid
rm -rf "$dir"
`

var shared struct {
	once sync.Once
	*server
	err error
}

func TestMain(m *testing.M) {
	_ = mysql.SetLogger(quiet{}) // of connections that tests cut
	code := m.Run()
	if shared.server != nil {
		shared.stop()
	}
	os.Exit(code)
}

// stop ends the server and removes its folder.
func (s *server) stop() {
	_ = s.stdin.Close()
	_ = s.cmd.Wait() // its own code says nothing
}

// program is the server's; without one the test is skipped.
func program(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"mariadbd", "/usr/sbin/mariadbd"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	tb.Skip("mariadbd is missing, so that MySQL and MariaDB are not tested; on Debian: apt-get install mariadb-server")
	return ""
}

// sharedServer is the one that all tests share.
func sharedServer(tb testing.TB) *server {
	tb.Helper()
	path := program(tb)
	shared.once.Do(func() { shared.server, shared.err = start(path) })
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.server
}

// ownServer is one for a single test, with settings that cannot be changed later.
func ownServer(tb testing.TB, settings ...string) *server {
	tb.Helper()
	s, err := start(program(tb), settings...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.stop)
	return s
}

// database makes an empty database and returns how to connect to it.
func (s *server) database(tb testing.TB) *mysql.Config {
	tb.Helper()
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User = "unix", filepath.Join(s.dir, "socket"), "root"
	cfg.Logger = quiet{}
	name := strings.ReplaceAll("d"+dbtest.Name(""), "-", "_")
	admin := dbtest.Open(tb, "mysql", cfg.FormatDSN())
	if _, err := admin.ExecContext(tb.Context(), "CREATE DATABASE `"+name+"`"); err != nil {
		tb.Fatal(err)
	}
	cfg.DBName = name
	return cfg
}

// quiet keeps go-sql-driver from logging.
type quiet struct{}

func (quiet) Print(...any) {}

func start(program string, settings ...string) (*server, error) {
	cred, err := account()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "mariadb") // a socket's path may have 107 bytes
	if err != nil {
		return nil, err
	}
	if cred != nil {
		err = os.Chown(dir, int(cred.Uid), int(cred.Gid))
	}
	s := &server{dir: dir}
	if err == nil {
		err = s.run(program, settings, cred)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// account is whose process the server is, which does not run as root.
func account() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("mysql")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (s *server) run(program string, settings []string, cred *syscall.Credential) error {
	data := "--datadir=" + filepath.Join(s.dir, "data")
	tmp := "--tmpdir=" + s.dir // where servers with one folder remove each other's files
	install := exec.CommandContext(context.Background(), "mariadb-install-db", "--no-defaults", data,
		"--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=4M", tmp)
	install.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	socket := filepath.Join(s.dir, "socket")
	args := append([]string{
		"-c", script, "mariadbd", s.dir, program, "--no-defaults", data, tmp, "--socket=" + socket, "--skip-networking",
		"--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0",
		"--innodb-lock-wait-timeout=1", "--pid-file=" + filepath.Join(s.dir, "pid"),
	}, settings...)
	s.cmd = exec.CommandContext(context.Background(), "/bin/sh", args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: cred}
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	if err := s.answers(socket); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		_ = s.stdin.Close()
		return fmt.Errorf("mariadbd: %w\n%s", errors.Join(err, s.cmd.Wait()), log)
	}
	return nil
}

// answers waits until the server does.
func (s *server) answers(socket string) error {
	db, err := sql.Open("mysql", "root@unix("+socket+")/")
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(dbtest.Patience); time.Now().Before(deadline); {
		if err = db.PingContext(context.Background()); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}
