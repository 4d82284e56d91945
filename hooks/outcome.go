package hooks

// Outcome is how a transaction ended.
type Outcome int8

// The three outcomes of a transaction. Unknown is the zero value, so that an
// outcome that was never set is not mistaken for a commit.
const (
	// Unknown: the connection was lost during COMMIT, or the transaction may
	// have ended unseen. The rows in the journal decide.
	Unknown Outcome = iota
	// Committed: durable, as far as the server is configured to be.
	Committed
	// RolledBack: nothing of the transaction remains.
	RolledBack
)

// String returns "committed", "rolled back" or "unknown".
func (o Outcome) String() string {
	switch o {
	case Committed:
		return "committed"
	case RolledBack:
		return "rolled back"
	default:
		return "unknown"
	}
}
