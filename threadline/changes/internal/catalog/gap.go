package catalog

// Unhashed is the op, in audit_gaps, of a change that is kept without its hashes. It is no gap in the history: the change
// itself shows that it has none.
const Unhashed = "HASH"

// Unordered is the op, in audit_gaps, of changes whose order is not known.
const Unordered = "order"
