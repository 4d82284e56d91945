package paging_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

// TestEach: a loop has the first limit of all pages, and so has the next loop over the same.
func TestEach(t *testing.T) {
	const all = 7
	page := func(limit int, cursor string) (list []int, next string, err error) {
		at := 0
		if cursor != "" {
			if at, err = strconv.Atoi(cursor); err != nil {
				return nil, "", err
			}
		}
		for ; at < all && len(list) < limit; at++ {
			list = append(list, at)
		}
		if at < all {
			next = strconv.Itoa(at)
		}
		return list, next, nil
	}
	for limit := range all + 2 {
		each := paging.Each(limit, 3, "1", page)
		for range 2 {
			var got []int
			for n, err := range each {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, n)
			}
			want := []int{1, 2, 3, 4, 5, 6}
			if limit > 0 {
				want = want[:min(limit, len(want))]
			}
			if !slices.Equal(got, want) {
				t.Errorf("limit %d: %v", limit, got)
			}
		}
	}
	fails := errors.New("no page")
	n := 0
	for _, err := range paging.Each(0, 3, "", func(int, string) ([]int, string, error) { return nil, "", fails }) {
		if n++; !errors.Is(err, fails) || n > 1 {
			t.Errorf("%d: %v", n, err)
		}
	}
}
