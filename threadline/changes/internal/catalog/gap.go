package catalog

// Unhashed is the op, in audit_gaps, of a change that is kept without its hashes. It is no gap in the history: the change
// itself shows that it has none.
const Unhashed = "HASH"

// Unordered is the op, in audit_gaps, of changes whose order is not known.
const Unordered = "order"

// Undelivered ends the op, in audit_gaps of another database, of a change that was captured, and could not be copied there. Beside the
// change it is no gap.
const Undelivered = " not delivered"

// AnyTable is the table, in audit_gaps, of a change of which it is not known.
const AnyTable = 0
