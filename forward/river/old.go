package river

import (
	"encoding/json"

	"github.com/google/uuid"
)

// isOld reports whether an earlier version has enqueued the job, whose workers did not note
// when an attempt ended: it is not known of such a job that its process died, and River
// discards it if that happens in its last attempt.
func (a *args) isOld() bool { return a.MaxAttempts == 0 }

// noteOf returns a note that has the events that are left, as an earlier version noted them.
func noteOf(rest []uuid.UUID) string {
	if len(rest) == 0 {
		return ""
	}
	note, err := json.Marshal(map[string][]uuid.UUID{"left": rest})
	if err != nil {
		panic(err) // it has only what can be marshaled
	}
	return string(note)
}
