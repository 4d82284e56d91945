package chance_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
)

// past is what a player has done, so that a failure can tell the story of a key.
type past struct {
	steps *[]string // of this transaction

	mu   sync.Mutex
	keys map[string]*[]string
}

// begin begins the story of another transaction.
func (p *past) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = &[]string{}
}

// of says that key is part of this transaction.
func (p *past) of(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = map[string]*[]string{}
	}
	p.keys[key] = p.steps
}

func (p *past) add(step string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		step += fmt.Sprintf(" (%v)", err)
	}
	*p.steps = append(*p.steps, step)
}

// tell tells what was done with a key.
func (p *past) tell(key string) (story string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys[key] == nil {
		return "", false
	}
	return strings.Join(*p.keys[key], " | "), true
}

// traced is a session whose statements are kept.
type traced struct {
	session
	past *past
}

// ExecContext keeps what it executes.
func (s traced) ExecContext(c context.Context, query string, args ...any) (sql.Result, error) {
	result, err := s.session.ExecContext(c, query, args...)
	s.past.add("Exec "+statement(query, args), err)
	return result, err
}

// QueryContext keeps what it asks.
func (s traced) QueryContext(c context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := s.session.QueryContext(c, query, args...)
	s.past.add("Query "+statement(query, args), err)
	return rows, err
}

// QueryRowContext keeps what it asks.
func (s traced) QueryRowContext(c context.Context, query string, args ...any) *sql.Row {
	row := s.session.QueryRowContext(c, query, args...)
	s.past.add("QueryRow "+statement(query, args), row.Err())
	return row
}

// PrepareContext keeps what it prepares; what is executed of it is not kept.
func (s traced) PrepareContext(c context.Context, query string) (*sql.Stmt, error) {
	stmt, err := s.session.PrepareContext(c, query)
	s.past.add("Prepare "+query, err)
	return stmt, err
}

func statement(query string, args []any) string {
	if len(args) == 0 {
		return query
	}
	return fmt.Sprintf("%s %q", query, args)
}
