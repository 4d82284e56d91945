package river

import "time"

// SetHeartbeatEvery sets how often a process that works jobs writes heartbeats, and returns what it was.
func SetHeartbeatEvery(d time.Duration) (was time.Duration) {
	was, heartbeatEvery = heartbeatEvery, d
	return was
}
