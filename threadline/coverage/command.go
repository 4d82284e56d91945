package coverage

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// applyCommand is the command that captures a table. Its words are those that "threadline triggers" reads.
func applyCommand(t capture.Table) string {
	spec := t.Name
	// In a word these separate names.
	cannot := strings.Contains(t.Name, ":") || slices.ContainsFunc(slices.Concat(t.Key, t.Mask, t.Hash, t.Exclude), func(name string) bool { return strings.ContainsAny(name, ":,") })
	if cannot {
		return "threadline triggers apply --file FILE --execute, with this in FILE: " + fileOf(t)
	}
	for _, part := range []struct {
		word    string
		columns []string
	}{{"key", t.Key}, {"mask", t.Mask}, {"hash", t.Hash}, {"exclude", t.Exclude}} {
		if len(part.columns) > 0 {
			spec += ":" + part.word + "=" + strings.Join(part.columns, ",")
		}
	}
	if t.Bulk {
		spec += ":bulk"
	}
	return "threadline triggers apply " + shellQuote(spec) + " --execute"
}

// fileOf is a file with the table, as "threadline triggers" reads it.
func fileOf(t capture.Table) string {
	type table struct {
		Name    string   `json:"name"`
		Key     []string `json:"key,omitempty"`
		Mask    []string `json:"mask,omitempty"`
		Hash    []string `json:"hash,omitempty"`
		Exclude []string `json:"exclude,omitempty"`
		Bulk    bool     `json:"bulk,omitempty"`
	}
	b, err := json.Marshal(map[string][]table{"tables": {{t.Name, t.Key, t.Mask, t.Hash, t.Exclude, t.Bulk}}})
	if err != nil {
		panic(err) // it has texts only
	}
	return string(b)
}

// shellQuote quotes a word for a shell, if that is needed.
func shellQuote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:=,-") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
