package threadline

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

func TestAliases(t *testing.T) {
	s := NewStore(nil, hooks.SQLite, &Options{Aliases: map[string][]string{
		"order": {"orders", "shop.orders"}, "Bestellung": {"order"}, "user": {"users", "users"}, "alone": nil,
	}})
	for name, want := range map[string][]string{
		"order":       {"Bestellung", "order", "orders", "shop.orders"},
		"shop.orders": {"Bestellung", "order", "orders", "shop.orders"},
		"Bestellung":  {"Bestellung", "order", "orders", "shop.orders"},
		"users":       {"user", "users"},
		"alone":       {"alone"},
		"Order":       {"Order"},
		"":            {""},
	} {
		if got := s.Aliases(name); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	s.Aliases("order")[0] = "x"
	if s.Aliases("order")[0] != "Bestellung" {
		t.Error("a caller changed the store's aliases")
	}
	if got := NewStore(nil, hooks.SQLite, nil).Aliases("order"); !slices.Equal(got, []string{"order"}) {
		t.Errorf("without options: %q", got)
	}
}

func TestAliasesThatNoTargetCanHave(t *testing.T) {
	for _, name := range []string{"", "a\x00", "\xff"} {
		for _, a := range []map[string][]string{{name: {"a"}}, {"a": {name}}} {
			_, err := NewStore(nil, hooks.SQLite, &Options{Aliases: a}).Timeline(context.Background(), Query{})
			if err == nil || !strings.Contains(err.Error(), "Options.Aliases") {
				t.Errorf("%q: %v", a, err)
			}
		}
	}
}
