package legacy_test

import (
	"database/sql"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
)

// mailer is a server written as listmonk is: sqlx, statements prepared at the
// start, and no context anywhere.
type mailer struct {
	db     *sqlx.DB
	insert *sqlx.Stmt
	query  string
	tasks  chan func()    // for workers, which the first request starts
	start  sync.Once      // the workers
	busy   sync.WaitGroup // handlers, also those that nobody waits for
}

// subscriber is a row. It names the user and the request that wrote it, neither
// if a goroutine wrote it that serves no request.
type subscriber struct {
	ID      int64  `db:"id"`
	Owner   string `db:"owner"`
	Request string `db:"request"`
}

const subscribers = "CREATE TABLE subscribers (id bigint PRIMARY KEY, owner text NOT NULL, request text NOT NULL)"

func (s subscriber) args() []any { return []any{s.ID, s.Owner, s.Request} }

// byOther is a row that a child goroutine or a worker writes.
func (s subscriber) byOther() subscriber { return subscriber{ID: s.ID + 1} }

func newMailer(t *testing.T, db *sqlx.DB) *mailer {
	t.Helper()
	m := &mailer{db: db, query: db.Rebind("INSERT INTO subscribers (id, owner, request) VALUES (?, ?, ?)"), tasks: make(chan func())}
	t.Cleanup(func() { close(m.tasks) })
	var err error
	if m.insert, err = db.Preparex(m.query); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.insert.Close() })
	return m
}

// ways are what handlers do to write a row with the ID that is given, and in
// some also the next one.
var ways = map[string]func(m *mailer, s subscriber) error{
	"exec": func(m *mailer, s subscriber) error {
		_, err := m.db.Exec(m.query, s.args()...)
		return err
	},
	"get": func(m *mailer, s subscriber) error {
		var id int64
		return m.db.Get(&id, m.query+" RETURNING id", s.args()...)
	},
	"prepared": func(m *mailer, s subscriber) error {
		_, err := m.insert.Exec(s.args()...)
		return err
	},
	"transaction": func(m *mailer, s subscriber) error {
		return m.transact(func(tx *sqlx.Tx) error {
			if _, err := tx.Stmtx(m.insert).Exec(s.args()...); err != nil {
				return err
			}
			_, err := tx.NamedExec("UPDATE subscribers SET request = :request WHERE id = :id", s)
			return err
		})
	},
	"rolled back": func(m *mailer, s subscriber) error {
		_ = m.transact(func(tx *sqlx.Tx) error {
			_, _ = tx.Exec(m.query, s.args()...)
			return sql.ErrTxDone
		})
		return nil
	},
	"panic": func(m *mailer, s subscriber) error {
		if _, err := m.insert.Exec(s.args()...); err != nil {
			return err
		}
		panic("a handler's")
	},
	"child": func(m *mailer, s subscriber) error {
		done := make(chan error)
		go func() {
			_, err := m.insert.Exec(s.byOther().args()...)
			done <- err
		}()
		_, err := m.insert.Exec(s.args()...)
		if cerr := <-done; err == nil {
			err = cerr
		}
		return err
	},
	"worker": func(m *mailer, s subscriber) error {
		m.start.Do(func() {
			for range 2 {
				go func() {
					for task := range m.tasks {
						task()
					}
				}()
			}
		})
		done := make(chan error)
		m.tasks <- func() {
			_, err := m.insert.Exec(s.byOther().args()...)
			done <- err
		}
		return <-done
	},
	"transaction of two goroutines": func(m *mailer, s subscriber) error {
		return m.transact(func(tx *sqlx.Tx) error {
			if _, err := tx.Exec(m.query, s.args()...); err != nil {
				return err
			}
			done := make(chan error)
			go func() {
				_, err := tx.Exec(m.query, s.byOther().args()...)
				done <- err
			}()
			return <-done
		})
	},
}

func (m *mailer) transact(f func(tx *sqlx.Tx) error) error {
	tx, err := m.db.Beginx()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// handler serves POST /<way>?id=<id>. Under /impatient/ it answers too late, on a
// goroutine of http.TimeoutHandler.
func (m *mailer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{way}", func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		id, err := strconv.ParseInt(r.FormValue("id"), 10, 64)
		if err == nil {
			err = ways[r.PathValue("way")](m, subscriber{ID: id, Owner: user, Request: r.Header.Get("X-Request-Id")})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	audited := m.recovering(reqctx.Middleware(func(r *http.Request) hooks.Actor {
		user, _, _ := r.BasicAuth()
		return hooks.Actor{Type: hooks.User, ID: user}
	}, &reqctx.Options{Goroutine: true})(mux))
	all := http.NewServeMux()
	all.Handle("/", audited)
	all.Handle("/impatient/", http.TimeoutHandler(http.StripPrefix("/impatient", audited), time.Microsecond, "too late"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.busy.Add(1)
		all.ServeHTTP(w, r)
	})
}

// recovering is an app's middleware, outside of ours.
func (m *mailer) recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer m.busy.Done()
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusTeapot)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
