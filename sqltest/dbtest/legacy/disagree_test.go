package legacy_test

import "testing"

// TestDisagreements keeps the comparison honest: it must be able to fail.
func TestDisagreements(t *testing.T) {
	of := func(op string, n int) map[change]int { return map[change]int{{7, "feeds", op}: n} }
	both := map[change]int{{7, "feeds", "inserted"}: 2, {7, "feeds", "updated"}: 1}
	for _, c := range []struct {
		name       string
		seen, told map[change]int
		want       int
	}{
		{"the same", of("deleted", 2), of("deleted", 2), 0},
		{"missing", of("deleted", 2), nil, 1},
		{"never happened", nil, of("deleted", 2), 1},
		{"never happened, without a number", nil, of("deleted", -1), 1},
		{"too few", of("deleted", 2), of("deleted", 1), 1},
		{"no number", of("deleted", 2), of("deleted", -1), 0},
		{"another operation", of("deleted", 2), of("updated", 2), 2},
		{"another transaction", of("deleted", 2), map[change]int{{8, "feeds", "deleted"}: 2}, 2},
		{"another table", of("deleted", 2), map[change]int{{7, "entries", "deleted"}: 2}, 2},
		{"upsert", both, of("upserted", 3), 0},
		{"upsert, too few", both, of("upserted", 2), 1},
	} {
		if got := disagreements(c.seen, c.told); len(got) != c.want {
			t.Errorf("%s: %q, want %d", c.name, got, c.want)
		}
	}
}
