package catalog

// Unhashed is the op of what is noted of a change that is kept without its hashes. It is no gap in the
// history: the change itself shows that it has none.
const Unhashed = "HASH"

// Unordered is the op of what is noted of changes of which the order is not known.
const Unordered = "order"
