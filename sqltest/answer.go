package sqltest

import (
	"database/sql/driver"
	"reflect"
)

// Statement is one statement that reached the fake, cut from its query string
// and without comments around it.
type Statement struct {
	Query string
	Args  []driver.NamedValue
	Conn  int
	// Tx is the number of its transaction, from 1; 0 in autocommit.
	Tx int
}

// Answer is what a statement answers: numbers for Exec, result sets for Query.
type Answer struct {
	RowsAffected int64
	LastInsertID int64
	Sets         []Set
}

// Set is one result set.
type Set struct {
	Columns []Column
	Rows    [][]driver.Value
}

// Column describes a column of a Set. Only Name is required; a connection
// without the column type interfaces hides the rest.
type Column struct {
	Name         string
	DatabaseType string
	ScanType     reflect.Type
	Length       int64 // 0: not of variable length
	Nullable     bool
	Precision    int64 // 0: not a decimal
	Scale        int64
}

// Rows makes an Answer of one result set. Each row has a value per column.
func Rows(columns []string, rows ...[]driver.Value) Answer {
	set := Set{Rows: rows}
	for _, name := range columns {
		set.Columns = append(set.Columns, Column{Name: name})
	}
	return Answer{Sets: []Set{set}}
}

// Affected makes an Answer of n rows affected and no result set.
func Affected(n int64) Answer { return Answer{RowsAffected: n} }

type answer struct {
	query string
	f     func(Statement) (Answer, error)
}

// Answer sets what statements answer that begin with query, in any case. The
// latest one given that matches is used. Statements without one affect one row.
func (f *Fake) Answer(query string, a Answer) {
	f.AnswerFunc(query, func(Statement) (Answer, error) { return a, nil })
}

// AnswerFunc is Answer with a function, which may use the fake and is called
// concurrently. A statement whose answer is an error has no effect.
func (f *Fake) AnswerFunc(query string, answers func(Statement) (Answer, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = append(f.answers, answer{query, answers})
}

// ask returns what st answers.
func (f *Fake) ask(st Statement) (Answer, error) {
	f.mu.Lock()
	var answers func(Statement) (Answer, error)
	for _, a := range f.answers {
		if hasPrefixFold(st.Query, a.query) {
			answers = a.f
		}
	}
	f.mu.Unlock()
	if answers == nil {
		return Affected(1), nil
	}
	return answers(st)
}
