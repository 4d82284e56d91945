// Package errtext makes texts for people of the errors of packages.
package errtext

import "strings"

// names are those with which the errors of packages begin.
var names = []string{"threadline: ", "changes: ", "capture: ", "undo: ", "relay: ", "journal: ", "export: ", "trail: "}

// Of returns the text of an error, without the names of packages in front.
func Of(err error) string { return Text(err.Error()) }

// Text is [Of] for a text.
func Text(text string) string {
	for _, name := range names {
		if rest, is := strings.CutPrefix(text, name); is {
			return Text(rest)
		}
	}
	return text
}
