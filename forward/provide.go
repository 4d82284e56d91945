package forward

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Maker makes a forwarder from options that an operator wrote; it decides which options
// there are. It must not wait for a sink that is down.
type Maker func(options map[string]string) (Forwarder, error)

var makers = struct {
	sync.Mutex
	by map[string]Maker
}{by: make(map[string]Maker)}

// packages are where the forwarders of this project are, for the warning that
// one is not linked in.
var packages = map[string]string{
	"threadline": "github.com/go-aftercommit/aftercommit/threadline",
	"nats":       "github.com/go-aftercommit/aftercommit/forward/nats",
}

// Provide makes a kind of forwarder known by name to [Hub.Configure]. A package
// calls it from its init, so that importing the package is enough. Like
// sql.Register it panics if the name is taken, empty or without a maker.
func Provide(name string, m Maker) {
	makers.Lock()
	defer makers.Unlock()
	if name == "" || m == nil {
		panic(fmt.Sprintf("forward: Provide of %q needs a name and a Maker", name))
	}
	if makers.by[name] != nil {
		panic("forward: Provide of a second " + name)
	}
	makers.by[name] = m
}

// maker returns nil if nothing of that name is linked in.
func maker(name string) Maker {
	makers.Lock()
	defer makers.Unlock()
	return makers.by[name]
}

// provided lists the names that are known, for those who mistyped one.
func provided() string {
	makers.Lock()
	defer makers.Unlock()
	if len(makers.by) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(makers.by)), ", ")
}

// importOf says what to import for a name.
func importOf(name string) string {
	if path := packages[name]; path != "" {
		return `import _ "` + path + `"`
	}
	return "import the package that calls forward.Provide for it, or correct the name"
}

// OnlyOptions returns an error that names the first of options that is not known, for a
// [Maker] to return.
func OnlyOptions(options map[string]string, known ...string) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("there is no option %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}
