package trail

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

// source has items of one kind, newest first, of which a filter matches some.
type source struct {
	kind    byte
	places  []place
	matches []bool
}

func randomSource(r *rand.Rand, kind byte, n int) *source {
	s := &source{kind: kind}
	at := time.Unix(1000, 0)
	for i := range n {
		if r.IntN(3) > 0 { // else at the same time
			at = at.Add(-time.Duration(r.IntN(3)) * time.Microsecond)
		}
		p := place{kind: kind}
		p.at.SetTime(at)
		binary.BigEndian.PutUint64(p.at[8:], uint64(n-i))
		s.places = append(s.places, p)
		s.matches = append(s.matches, r.IntN(3) > 0)
	}
	return s
}

func (s *source) item() Item {
	if s.kind == paging.ByCapture {
		return Item{Change: &changes.Change{}}
	}
	return Item{Action: &threadline.Action{}}
}

// read reads a page as the stores do: limit items at most, of so many that are looked at.
func (s *source) read(from *place, limit, looks int) *part {
	p := &part{}
	i := 0
	for ; i < len(s.places); i++ {
		at := s.places[i].at.Time()
		if from == nil || from.kind == s.kind && slices.Compare(s.places[i].at[:], from.at[:]) < 0 ||
			from.kind != s.kind && from.isChange() && at.Before(from.at.Time()) ||
			from.kind != s.kind && !from.isChange() && !at.After(from.at.Time()) {
			break
		}
	}
	for looked := 0; i < len(s.places); i, looked = i+1, looked+1 {
		if len(p.items) == limit || looked == looks {
			p.rest = &s.places[i-1]
			p.restTime = p.rest.at.Time()
			break
		}
		if s.matches[i] {
			p.add(s.item(), &s.places[i])
		}
	}
	return p
}

// TestMerge goes through pages of two sources whose times are often equal, and which look at few items at a time:
// all that match are there once, in order, and each page goes further.
func TestMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		sources := []*source{randomSource(r, paging.ByPlace, r.IntN(12)), randomSource(r, paging.ByCapture, r.IntN(12))}
		var want []place
		for _, s := range sources {
			for i, p := range s.places {
				if s.matches[i] {
					want = append(want, p)
				}
			}
		}
		slices.SortStableFunc(want, func(a, b place) int { return b.at.Time().Compare(a.at.Time()) })
		limit := 1 + r.IntN(5)
		looks := limit + r.IntN(3)
		var got []place
		var from *place
		for rounds := 0; ; rounds++ {
			actions, rows := sources[0].read(from, limit, looks), sources[1].read(from, limit, looks)
			items, end := merge(actions, rows, limit)
			for _, item := range items {
				got = append(got, *item.end)
			}
			if end == nil {
				break
			}
			if from = end; rounds > 50 {
				t.Fatal("it has no end")
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("limit %d, looks at %d: got\n%v\nwant\n%v", limit, looks, got, want)
		}
	}
}

// TestMergeEnds: there is a next page exactly if there is something on it, where no filter looks.
func TestMergeEnds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		sources := []*source{randomSource(r, paging.ByPlace, r.IntN(6)), randomSource(r, paging.ByCapture, r.IntN(6))}
		for _, s := range sources {
			for i := range s.matches {
				s.matches[i] = true
			}
		}
		all := len(sources[0].places) + len(sources[1].places)
		for limit := 1; limit <= all+1; limit++ {
			items, end := merge(sources[0].read(nil, limit, 100), sources[1].read(nil, limit, 100), limit)
			if len(items) != min(limit, all) || (end != nil) != (limit < all) {
				t.Fatalf("limit %d of %d: %d items, next %v", limit, all, len(items), end)
			}
		}
	}
}

// TestBefore: of one transaction the actions come first, and then its changes by the WAL, whatever the clock said.
func TestBefore(t *testing.T) {
	at := func(kind byte, clock int64, order uint64) *place {
		p := &place{kind: kind}
		p.at.SetTime(time.UnixMicro(clock))
		binary.BigEndian.PutUint64(p.at[8:], order)
		return p
	}
	list := []*place{at(paging.ByPlace, 5, 1), at(paging.ByPlace, 4, 2), at(paging.ByPlace, 4, 1), at(paging.ByCapture, 1, 9), at(paging.ByCapture, 7, 8), at(paging.ByCapture, 3, 7)}
	for i, p := range list {
		for j, o := range list {
			if p.before(o) != (i < j) {
				t.Errorf("%d before %d: %v", i, j, i >= j)
			}
		}
	}
}
