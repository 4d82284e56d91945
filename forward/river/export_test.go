package river

import "time"

// SetNoteEvery sets how often a process notes that it works jobs, and returns what it was.
func SetNoteEvery(d time.Duration) (was time.Duration) {
	was, noteEvery = noteEvery, d
	return was
}
