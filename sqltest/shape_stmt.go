package sqltest

import (
	"context"
	"database/sql/driver"
)

// The interfaces of database/sql/driver whose embedded ones would collide, or
// which are deprecated, without those.

type stmtExecer interface {
	ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error)
}

type stmtQueryer interface {
	QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error)
}

type columnConverter interface {
	ColumnConverter(i int) driver.ValueConverter
}

// shapeStmt shows a statement as s says.
//
//nolint:revive // one case for each of sixteen types
func shapeStmt(st *stmt, s Shape) driver.Stmt {
	switch s {
	case Bare:
		return struct{ driver.Stmt }{st}
	case StmtExecContext:
		return struct {
			driver.Stmt
			stmtExecer
		}{st, st}
	case StmtQueryContext:
		return struct {
			driver.Stmt
			stmtQueryer
		}{st, st}
	case StmtExecContext | StmtQueryContext:
		return struct {
			driver.Stmt
			stmtExecer
			stmtQueryer
		}{st, st, st}
	case StmtNamedValueChecker:
		return struct {
			driver.Stmt
			driver.NamedValueChecker
		}{st, st}
	case StmtExecContext | StmtNamedValueChecker:
		return struct {
			driver.Stmt
			stmtExecer
			driver.NamedValueChecker
		}{st, st, st}
	case StmtQueryContext | StmtNamedValueChecker:
		return struct {
			driver.Stmt
			stmtQueryer
			driver.NamedValueChecker
		}{st, st, st}
	case StmtExecContext | StmtQueryContext | StmtNamedValueChecker:
		return struct {
			driver.Stmt
			stmtExecer
			stmtQueryer
			driver.NamedValueChecker
		}{st, st, st, st}
	case StmtColumnConverter:
		return struct {
			driver.Stmt
			columnConverter
		}{st, st}
	case StmtExecContext | StmtColumnConverter:
		return struct {
			driver.Stmt
			stmtExecer
			columnConverter
		}{st, st, st}
	case StmtQueryContext | StmtColumnConverter:
		return struct {
			driver.Stmt
			stmtQueryer
			columnConverter
		}{st, st, st}
	case StmtExecContext | StmtQueryContext | StmtColumnConverter:
		return struct {
			driver.Stmt
			stmtExecer
			stmtQueryer
			columnConverter
		}{st, st, st, st}
	case StmtNamedValueChecker | StmtColumnConverter:
		return struct {
			driver.Stmt
			driver.NamedValueChecker
			columnConverter
		}{st, st, st}
	case StmtExecContext | StmtNamedValueChecker | StmtColumnConverter:
		return struct {
			driver.Stmt
			stmtExecer
			driver.NamedValueChecker
			columnConverter
		}{st, st, st, st}
	case StmtQueryContext | StmtNamedValueChecker | StmtColumnConverter:
		return struct {
			driver.Stmt
			stmtQueryer
			driver.NamedValueChecker
			columnConverter
		}{st, st, st, st}
	case StmtExecContext | StmtQueryContext | StmtNamedValueChecker | StmtColumnConverter:
		return struct {
			driver.Stmt
			stmtExecer
			stmtQueryer
			driver.NamedValueChecker
			columnConverter
		}{st, st, st, st, st}
	default:
		panic(noShape(s))
	}
}
