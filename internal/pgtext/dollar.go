package pgtext

import (
	"fmt"
	"strings"
)

// DollarQuoted returns s in dollar quotes with a name, which gets a number if s has the same quotes in it.
func DollarQuoted(name, s string) string {
	tag := "$" + name + "$"
	for i := 0; strings.Contains(s, tag); i++ {
		tag = fmt.Sprintf("$%s%d$", name, i)
	}
	return tag + "\n" + s + tag
}
