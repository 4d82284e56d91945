package sqltest

import (
	"context"
	"database/sql/driver"
	"runtime"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// connShapes are those that a connection can have.
func connShapes() []Shape {
	var all []Shape
	for s := range firstFour.Subsets() {
		all = append(all, s, s|modernConnShape)
	}
	for s := range modernConnShape.Subsets() {
		all = append(all, s|ExecerContext|QueryerContext)
	}
	for s := range (Execer | Queryer).Subsets() {
		all = append(all, s)
	}
	return all
}

func TestConnsHaveExactlyTheirShape(t *testing.T) {
	for _, want := range connShapes() {
		c, err := NewFakeOf(want, hooks.Postgres).Connect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if got := ConnShape(c); got != want {
			t.Errorf("asked for %s, got %s", want, got)
		}
	}
}

func TestStmtsAndRowsHaveExactlyTheirShape(t *testing.T) {
	for want := range stmtShape.Subsets() {
		c, err := NewFakeOf(want, hooks.Postgres).Connect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		st, err := c.Prepare("SELECT 1")
		if err != nil {
			t.Fatal(err)
		}
		if got := StmtShape(st); got != want {
			t.Errorf("statement: asked for %s, got %s", want, got)
		}
	}
	for want := range rowsShape.Subsets() {
		c, err := NewFakeOf(want|Queryer, hooks.Postgres).Connect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		rows, err := c.(driver.Queryer).Query("SELECT 1", nil) //nolint:staticcheck // one of the shapes
		if err != nil {
			t.Fatal(err)
		}
		if before127() {
			want &^= ColumnScanner
		}
		if got := RowsShape(rows); got != want {
			t.Errorf("rows: asked for %s, got %s", want, got)
		}
	}
}

func before127() bool { return strings.HasPrefix(runtime.Version(), "go1.26") }

func TestShapeThatNothingHasPanics(t *testing.T) {
	defer func() {
		if s, _ := recover().(string); !strings.Contains(s, "Pinger") {
			t.Errorf("panic %q does not name the shape", s)
		}
	}()
	NewFakeOf(Pinger, hooks.Postgres)
}

func TestShapeString(t *testing.T) {
	got := (ExecerContext | StmtNamedValueChecker | ColumnTypes).String()
	if want := "ExecerContext|StmtNamedValueChecker|ColumnTypes"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
