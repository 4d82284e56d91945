// Package command writes the commands of the program threadline that reports suggest, and reads their arguments back.
package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// Apply returns the command that captures a table. A table that [ParseTable] could not read back is shown as a file for --file.
func Apply(t capture.Table) string {
	if isAmbiguous(t) {
		return "threadline triggers apply --file FILE --execute, with this in FILE: " + file(t)
	}
	return "threadline triggers apply " + Quote(table(t)) + " --execute"
}

// isAmbiguous reports whether a name has a character that separates names in an argument.
func isAmbiguous(t capture.Table) bool {
	return strings.Contains(t.Name, ":") || slices.ContainsFunc(slices.Concat(t.Key, t.Mask, t.Hash, t.Exclude), func(name string) bool { return strings.ContainsAny(name, ":,") })
}

// table returns a table as an argument: orders:mask=card,cvc:bulk.
func table(t capture.Table) string {
	arg := t.Name
	for _, part := range parts(&t) {
		if len(*part.columns) > 0 {
			arg += ":" + part.word + "=" + strings.Join(*part.columns, ",")
		}
	}
	if t.Bulk {
		arg += ":bulk"
	}
	return arg
}

// part is a list of columns in an argument.
type part struct {
	word    string
	columns *[]string
}

func parts(t *capture.Table) []part {
	return []part{{"key", &t.Key}, {"mask", &t.Mask}, {"hash", &t.Hash}, {"exclude", &t.Exclude}}
}

// ParseTable reads a table as [Apply] writes it.
func ParseTable(arg string) (capture.Table, error) {
	name, rest, _ := strings.Cut(arg, ":")
	t := capture.Table{Name: name}
	if rest == "" {
		return t, nil
	}
	for text := range strings.SplitSeq(rest, ":") {
		word, columns, _ := strings.Cut(text, "=")
		list := strings.FieldsFunc(columns, func(r rune) bool { return r == ',' })
		if text == "bulk" {
			t.Bulk = true
			continue
		}
		if len(list) == 0 {
			return t, fmt.Errorf("%q: after %s: comes mask=, hash=, exclude= or key= with columns, or bulk", arg, name)
		}
		all := parts(&t)
		i := slices.IndexFunc(all, func(p part) bool { return p.word == word })
		if i < 0 {
			return t, fmt.Errorf("%q: %q is none of mask, hash, exclude, key and bulk", arg, word)
		}
		*all[i].columns = list
	}
	return t, nil
}

// file returns a file for --file with one table.
func file(t capture.Table) string {
	type entry struct {
		Name    string   `json:"name"`
		Key     []string `json:"key,omitempty"`
		Mask    []string `json:"mask,omitempty"`
		Hash    []string `json:"hash,omitempty"`
		Exclude []string `json:"exclude,omitempty"`
		Bulk    bool     `json:"bulk,omitempty"`
	}
	doc, err := json.Marshal(map[string][]entry{"tables": {{t.Name, t.Key, t.Mask, t.Hash, t.Exclude, t.Bulk}}})
	if err != nil {
		panic(err) // it has texts only
	}
	return string(doc)
}

// Quote quotes a word for a shell, if that is needed.
func Quote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:=,-") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
