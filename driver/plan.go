package driver

import (
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// PostgreSQL keeps the plan of a prepared statement until the path changes, or one
// of the relations in it. A new table that hides the old one from the path does
// neither: the statement goes on writing to the old one. pgx prepares what it
// sends, so that there the app need not have prepared anything.

// seen is a name as it was looked up along a path.
type seen struct{ path, name string }

// follow notes in r what stood for the name t before, along the same path, and is
// hidden by r now. What was dropped or renamed is not: its plans are made anew.
func (k *catalog) follow(path string, t lex.Table, r *relation) {
	if t.Schema != "" || path == "" {
		return
	}
	name := seen{path, strings.Clone(t.Name)}
	if r.missing {
		delete(k.plans, name)
		return
	}
	if old := k.plans[name]; old != nil {
		schemas := strings.Split(path, "\x1f")
		place := func(r *relation) int { return slices.Index(schemas, r.steps[0].Schema) }
		for _, h := range append([]*relation{old}, old.hides...) {
			if place(r) < place(h) {
				r.hides = append(r.hides, h)
			}
		}
	}
	if k.plans == nil || len(k.plans) >= maxNames {
		k.plans = make(map[seen]*relation)
	}
	k.plans[name] = r
}

// replays reports whether j may be executed by an earlier plan.
func (p *capturer) replays(j *job) bool {
	return j.prepared || j.whole == "" && !isPQ(p.base)
}

// aimAt is aimOf for a statement of j. If it may have written to a table that r
// hides instead, the event is that of the one that is captured, and says that this
// one may be unchanged. If both are, there is none.
func (p *capturer) aimAt(j *job, r *relation, op lex.Op) (to aim, ok bool) {
	if len(r.hides) == 0 || !p.replays(j) {
		return p.aimOf(r, op)
	}
	all := true
	for _, r := range append([]*relation{r}, r.hides...) {
		a, captured := p.aimOf(r, op)
		switch {
		case !captured:
			all = false
		case !ok:
			to, ok = a, true
		case a.table != to.table:
			return aim{torn: true}, false
		default:
			to.doubt, to.moves = to.doubt || a.doubt, to.moves || a.moves
			to.cascades = to.cascades || a.cascades
			to.keyed = to.keyed && a.keyed && to.key == a.key
			to.named = to.named && a.named && to.keyed
		}
	}
	to.either = !all
	return to, ok
}

// missesAt is misses for a statement of j.
func (p *capturer) missesAt(j *job, r *relation, op lex.Op) bool {
	return p.misses(r, op) || len(r.hides) > 0 && p.replays(j) &&
		slices.ContainsFunc(r.hides, func(h *relation) bool { return p.misses(h, op) })
}
