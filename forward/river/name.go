package river

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	queuePrefix = "aftercommit"
	// queueLength is how many bytes River allows for a queue's name.
	queueLength = 64
	hashLength  = 8
)

// QueueName returns the name of a forwarder's queue: its own name as far as
// River's characters go (a-z, 0-9, single _), and a hash, because two of them may
// look alike then. "threadline.Forwarder/default" has
// "aftercommit_threadline_forwarder_default_0f3d6b52", say.
func QueueName(forwarder string) string {
	words := strings.FieldsFunc(strings.ToLower(forwarder), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	name := strings.Join(append([]string{queuePrefix}, words...), "_")
	name = strings.TrimRight(name[:min(len(name), queueLength-hashLength-1)], "_")
	sum := sha256.Sum256([]byte(forwarder))
	return name + "_" + hex.EncodeToString(sum[:])[:hashLength]
}
