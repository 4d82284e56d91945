package dbtest

import "time"

// Patience is how long a test waits for what must happen, before it says that it
// never does. A machine may stand still for seconds, and a test must not fail for
// that: the limit ends only what hangs.
const Patience = 3 * time.Minute
