package catalog

import (
	"encoding/json"
	"slices"
	"strings"
)

// Note is what a capture was planned from. It is the first line of the capture function, which every role may read; SQLite, which has no
// functions, makes it of the last capture.
type Note struct {
	Generation int           `json:"generation"`
	Schema     string        `json:"schema"`
	Table      string        `json:"table"`
	OID        uint32        `json:"oid"`
	Key        []NotedColumn `json:"key,omitempty"` // if it was declared, and is not the primary key
	Mask       []NotedColumn `json:"mask,omitempty"`
	Hash       []NotedColumn `json:"hash,omitempty"`
	Exclude    []NotedColumn `json:"exclude,omitempty"`
}

// NotedColumn is a column. Its number outlives its name, and its name a restore. It is 0 if the table has no such
// column now.
type NotedColumn struct {
	Name   string `json:"name"`
	Number int    `json:"number"`
}

const noteStart = "-- Planned from "

// Line is the first line of a function that was made for the note.
func (n *Note) Line() string {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // it has texts and numbers only
	}
	return noteStart + string(b) + "\n"
}

// noteOf returns nil if a function has none.
func noteOf(body string) *Note {
	line, _, _ := strings.Cut(body, "\n")
	text, ok := strings.CutPrefix(line, noteStart)
	n := &Note{}
	if !ok || json.Unmarshal([]byte(text), n) != nil {
		return nil
	}
	return n
}

// Keeping is how much is kept of a column.
type Keeping int

// What is kept of a column.
const (
	KeepsValues  Keeping = iota
	KeepsHashes          // of values
	KeepsThat            // that it has changed
	KeepsNothing         // not even that
)

func (k Keeping) String() string {
	return [...]string{"kept", "hashed", "masked", "excluded"}[k]
}

// Keeps is what is to be kept of a column, by what [Column.Excluded], Masked and Hashed say.
func (c *Column) Keeps() Keeping {
	switch {
	case c.Excluded:
		return KeepsNothing
	case c.Hashed:
		return KeepsHashes
	case c.Masked:
		return KeepsThat
	default:
		return KeepsValues
	}
}

// DeclaredKey returns the columns of the key that was declared, as they are called now, nil if none was. One that is gone has the name
// that it had.
func (n *Note) DeclaredKey(f *Relation) (key []string) {
	for _, k := range n.Key {
		name := k.Name
		for i := range f.All {
			if c := &f.All[i]; n.OID == f.OID && k.Number == c.Number && c.Number > 0 {
				name = c.Name
			}
		}
		key = append(key, name)
	}
	return key
}

// kept is what a capture that was planned from n keeps of a column of f. In the same table a column
// is known by its number, whatever it is called now.
func (n *Note) kept(f *Relation, c *Column) Keeping {
	is := func(o NotedColumn) bool {
		return o.Name == c.Name || n.OID == f.OID && o.Number == c.Number && c.Number > 0
	}
	switch {
	case slices.ContainsFunc(n.Exclude, is):
		return KeepsNothing
	case slices.ContainsFunc(n.Mask, is):
		return KeepsThat
	case slices.ContainsFunc(n.Hash, is):
		return KeepsHashes
	default:
		return KeepsValues
	}
}

// Kept is the least that any note says is kept of a column of f.
func (d *Deployed) Kept(f *Relation, c *Column) (least Keeping) {
	for _, n := range d.All() {
		if n != nil {
			least = max(least, n.kept(f, c))
		}
	}
	return least
}
