package reading

import "github.com/go-aftercommit/aftercommit/threadline/changes/change"

// Ops are the operations as audit_changes has them.
var Ops = map[string]change.Op{"I": change.Insert, "U": change.Update, "D": change.Delete, "T": change.Truncate}

// IsWhole reports whether the value was kept as it is: neither masked nor shortened.
func IsWhole(v *change.Value) bool { return !v.Masked && !v.Shortened }
