package river

import (
	"encoding/json"

	"github.com/google/uuid"
)

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
