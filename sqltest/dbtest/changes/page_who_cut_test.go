package changes_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// TestPageByWhoCutOff reads what is found by who in parts: pages that end among changes captured before their transaction began, and
// changes that match a filter and are more than are looked at at a time.
func TestPageByWhoCutOff(t *testing.T) {
	with(t, func(w *world) {
		p := w.makePast(rand.New(rand.NewPCG(dbtest.Seed(w), 3)))
		for n := range 12 { // by a clock that was set back
			p.tx(pastBegan.Add(time.Duration(n)*10*time.Second), p.spread(3, -time.Minute, 0), "user:back")
		}
		// Of one context.
		p.tx(pastBegan.Add(5*time.Minute), p.spread(450, 0, time.Second), "user:busy")
		// Of many contexts. The first 50 that are read have 200 changes, and a transaction that began before these has 100 more.
		p.tx(pastBegan.Add(10*time.Minute), p.spread(100, 30*time.Minute, 39*time.Minute), "user:late")
		for n := range 120 {
			p.tx(pastBegan.Add(10*time.Minute+time.Duration(n)*15*time.Second), p.spread(4, 0, 5*time.Second), "user:late")
		}
		p.write()
		everything := w.all(changes.Query{})
		namesOf := func(c changes.Change) []string { return []string{"public." + c.Table} }
		queries := []changes.Query{
			{ActorID: "back", Limit: 1},
			{ActorID: "back", Limit: 100, To: pastBegan.Add(30 * time.Second)},
			{ActorID: "back", Limit: 100, From: pastBegan.Add(30 * time.Second)},
			{ActorID: "busy", Limit: 200, Ops: []changes.Op{changes.Delete}},
			{ActorID: "late", Limit: 200, Ops: []changes.Op{changes.Delete}},
			{ActorID: "late", Limit: 200, Ops: []changes.Op{changes.Insert}, Tables: []string{"t", "u"}},
		}
		for _, q := range queries {
			var want []changes.Change
			for _, c := range everything {
				if matches(q, c, namesOf) {
					want = append(want, c)
				}
			}
			if len(want) == 0 {
				w.Errorf("nothing matches %+v", q)
			}
			w.wantSame(fmt.Sprintf("pages of %+v", q), w.pages(q), want)
		}
	}, dbtest.PGX)
}
