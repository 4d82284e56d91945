package paging

import "iter"

// Each yields all that pages have, or the first limit of it, and goes on from cursor. It asks for pages of most at
// most, and holds nothing while the loop's body runs. An error is the last thing that it yields.
func Each[T any](limit, most int, cursor string, page func(limit int, cursor string) (list []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		at, left := cursor, limit // of this loop: there may be others
		for {
			size := most
			if limit != 0 {
				size = min(left, most)
			}
			list, next, err := page(size, at)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for i := range list {
				if !yield(list[i], nil) {
					return
				}
			}
			left -= len(list)
			if next == "" || limit != 0 && left <= 0 {
				return
			}
			at = next
		}
	}
}
