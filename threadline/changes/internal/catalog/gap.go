package catalog

// Unhashed is the op of what is noted of a change that is kept without its hashes. It is no gap in the
// history: the change itself shows that it has none.
const Unhashed = "HASH"
