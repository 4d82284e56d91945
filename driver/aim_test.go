package driver

import (
	"context"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// aims is a capturer on PostgreSQL with these rules.
func aims(rules *Rules) *capturer {
	return &capturer{names: &catalog{dialect: postgres{}, session: new(session), is: &postgresFacts, rules: rules}, keys: postgres{}}
}

// leadsTo is a relation whose rows belong to the last of these tables.
func leadsTo(steps ...step) *relation { return &relation{steps: steps} }

func at(name string) step {
	return step{Table: lex.Table{Schema: "public", Name: name}, key: integerColumn}
}

// TestAim: a write is captured for the last table on its way that a rule matches, unless
// one of them is left out.
func TestAim(t *testing.T) {
	view := at("view")
	view.view = true
	instead := view
	instead.instead = inserts
	temporary := at("temporary")
	temporary.temporary = true
	for _, c := range []struct {
		name  string
		rules *Rules
		to    *relation
		op    lex.Op
		want  string // the table, and what it is reached by; empty if it is not captured
		named bool
		miss  bool
	}{
		{"no rules", nil, leadsTo(at("orders")), lex.Insert, "", false, false},
		{"a table", AllTables(), leadsTo(at("orders")), lex.Insert, "orders", true, false},
		{"another", Tables("items"), leadsTo(at("orders")), lex.Insert, "", false, false},
		{"of a schema", Tables("billing.orders"), leadsTo(at("orders")), lex.Insert, "", false, false},
		{"a temporary one", AllTables(), leadsTo(temporary), lex.Insert, "", false, false},
		{"a partition", Tables("orders"), leadsTo(at("orders_2026"), at("orders")), lex.Update, "orders via orders_2026", true, false},
		{"one that is left out", AllTables().Except("orders_2026"), leadsTo(at("orders_2026"), at("orders")), lex.Update, "", false, false},
		{"a view", Tables("orders"), leadsTo(view, at("orders")), lex.Insert, "orders via view", false, false},
		{"INSTEAD OF", Tables("orders"), leadsTo(instead, at("orders")), lex.Insert, "", false, true},
		{"INSTEAD OF another operation", Tables("orders"), leadsTo(instead, at("orders")), lex.Delete, "orders via view", false, false},
		{"a view of several", Tables("orders"), &relation{steps: []step{view}, reads: []lex.Table{{Name: "orders"}}}, lex.Insert, "", false, true},
		{"unknown", AllTables(), unknown(lex.Table{Name: "orders"}), lex.Insert, "", false, false},
	} {
		p := aims(c.rules)
		a, ok := p.aimOf(c.to, c.op)
		got := ""
		if ok {
			got = a.table.Name
		}
		if a.via != "" {
			got += " via " + a.via
		}
		if got != c.want || a.named != c.named {
			t.Errorf("%s: it is %q, named %v, want %q, %v", c.name, got, a.named, c.want, c.named)
		}
		if missed := !ok && p.misses(c.to, c.op); missed != c.miss {
			t.Errorf("%s: missed %v, want %v", c.name, missed, c.miss)
		}
	}
}

// TestAimOfPlans: where an earlier plan may still write to a table that is hidden now,
// the event is that of the captured one and without a count; of two captured ones there
// is none.
func TestAimOfPlans(t *testing.T) {
	for _, c := range []struct {
		name                   string
		rules                  *Rules
		prepared               bool
		captured, either, torn bool
	}{
		{"nothing is prepared", Tables("orders"), false, true, false, false},
		{"one is captured", Tables("orders"), true, true, true, false},
		{"both are", Tables("orders", "hidden"), true, false, false, true},
		{"neither is", Tables("items"), true, false, false, false},
	} {
		r := leadsTo(at("orders"))
		r.hides = []*relation{leadsTo(at("hidden"))}
		a, ok := aims(c.rules).aimAt(&job{prepared: c.prepared, whole: "INSERT …"}, r, lex.Insert)
		if ok != c.captured || ok && a.either != c.either || a.torn != c.torn {
			t.Errorf("%s: captured %v, either %v, torn %v, want %v, %v, %v", c.name, ok, a.either, a.torn, c.captured, c.either, c.torn)
		}
	}
}

// TestUncapturedAtLimit: what does not fit into the transaction's record is reported.
func TestUncapturedAtLimit(t *testing.T) {
	reported := ""
	p := aims(AllTables())
	p.origin = func(context.Context) hooks.Values { return hooks.Values{} }
	p.uncaptured = func(_ int, reason string) { reported = reason }
	to := txn.NewRecord(&txn.Config{}, hooks.Strict) // which takes no event
	stmts := lex.Parse(lex.Postgres, "INSERT INTO orders (id) VALUES (1)", "id", nil)
	j := job{stmts: stmts, names: meanings{k: p.names, stmts: stmts, split: len(stmts)}}
	p.capture(t.Context(), to, &j, nil)
	if reported != "limit" || !to.IsEmpty() {
		t.Errorf("reported %q, the record is empty: %v", reported, to.IsEmpty())
	}
}
