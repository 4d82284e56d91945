package changes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// generation is raised when capture functions become others for the same table and the same wishes, or notes
// say more: a program of an earlier version would put its own back, and one that does not know a field
// of the note would take off what that asks for. It is to be raised once between two releases.
// 1 knew neither hashes nor moved rows.
const generation = 2

// note is what a capture was planned from. It is the first line of the function, which every
// role may read.
type note struct {
	Generation int      `json:"generation"`
	Schema     string   `json:"schema"`
	Table      string   `json:"table"`
	OID        uint32   `json:"oid"`
	Key        []string `json:"key,omitempty"` // if it was declared
	Mask       []noted  `json:"mask,omitempty"`
	Hash       []noted  `json:"hash,omitempty"`
	Exclude    []noted  `json:"exclude,omitempty"`
}

// noted is a column. Its number outlives its name, and its name a restore. It is 0 if the table has no such
// column now.
type noted struct {
	Name   string `json:"name"`
	Number int    `json:"number"`
}

const noteStart = "-- Planned from "

func (n *note) line() string {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // it has texts and numbers only
	}
	return noteStart + string(b) + "\n"
}

// noteOf returns nil if a function has none.
func noteOf(body string) *note {
	line, _, _ := strings.Cut(body, "\n")
	text, ok := strings.CutPrefix(line, noteStart)
	n := &note{}
	if !ok || json.Unmarshal([]byte(text), n) != nil {
		return nil
	}
	return n
}

// note is that of a capture as it is wanted now.
func (f *found) note() *note {
	n := &note{Generation: generation, Schema: f.Schema, Table: f.Table, OID: f.OID, Key: f.declared}
	add := func(o noted, keeps keeping) {
		switch keeps {
		case keepsHashes:
			n.Hash = append(n.Hash, o)
		case keepsThat:
			n.Mask = append(n.Mask, o)
		case keepsNothing:
			n.Exclude = append(n.Exclude, o)
		}
	}
	for _, c := range f.all {
		add(noted{c.Name, c.Number}, c.keeps())
	}
	for _, g := range f.gone {
		add(noted{Name: g.name}, g.keeps)
	}
	return n
}

// keeping is how much is kept of a column.
type keeping int

const (
	keepsValues  keeping = iota
	keepsHashes          // of values
	keepsThat            // that it has changed
	keepsNothing         // not even that
)

func (k keeping) String() string {
	return [...]string{"kept", "hashed", "masked", "excluded"}[k]
}

// keeps is what is to be kept of a column, once that has been chosen.
func (c *column) keeps() keeping {
	switch {
	case c.excluded:
		return keepsNothing
	case c.Hashed:
		return keepsHashes
	case c.Masked:
		return keepsThat
	default:
		return keepsValues
	}
}

// kept is what a capture that was planned from n keeps of a column of f. In the same table a column
// is known by its number, whatever it is called now.
func (n *note) kept(f *found, c *column) keeping {
	is := func(o noted) bool { return o.Name == c.Name || n.OID == f.OID && o.Number == c.Number && c.Number > 0 }
	switch {
	case slices.ContainsFunc(n.Exclude, is):
		return keepsNothing
	case slices.ContainsFunc(n.Mask, is):
		return keepsThat
	case slices.ContainsFunc(n.Hash, is):
		return keepsHashes
	default:
		return keepsValues
	}
}

// kept is the least that there is kept of a column of f.
func (d *deployed) kept(f *found, c *column) (least keeping) {
	for _, n := range d.all() {
		if n != nil {
			least = max(least, n.kept(f, c))
		}
	}
	return least
}

// looser are the columns of which f is to keep more than there is kept, each with both.
func (d *deployed) looser(f *found) (list []string) {
	for i := range f.all {
		c := &f.all[i]
		if before, now := d.kept(f, c), c.keeps(); before > now {
			list = append(list, fmt.Sprintf("%q was %s and is to be %s", c.Name, before, now))
		}
	}
	return list
}

// stricter returns t so that no more is kept of any column than there is, and with the key
// that was declared, unless t declares one.
func (d *deployed) stricter(f *found, t Table) Table {
	hash, mask, exclude := slices.Clone(t.Hash), slices.Clone(t.Mask), slices.Clone(t.Exclude)
	for i := range f.all {
		c := &f.all[i]
		isColumn := func(name string) bool { return name == c.Name }
		switch kept := d.kept(f, c); {
		case slices.Contains(exclude, c.Name):
		case kept == keepsNothing:
			hash, mask, exclude = slices.DeleteFunc(hash, isColumn), slices.DeleteFunc(mask, isColumn), append(exclude, c.Name)
		case slices.Contains(mask, c.Name):
		case kept == keepsThat:
			hash, mask = slices.DeleteFunc(hash, isColumn), append(mask, c.Name)
		case kept == keepsHashes && !slices.Contains(hash, c.Name):
			hash = append(hash, c.Name)
		}
	}
	t.Hash, t.Mask, t.Exclude = hash, mask, exclude
	for _, n := range d.notes {
		if n != nil && t.Key == nil && !slices.ContainsFunc(n.Key, func(k string) bool { return !f.has(k) }) {
			t.Key = n.Key
		}
	}
	return t
}
