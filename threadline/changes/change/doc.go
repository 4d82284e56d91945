// Package change is the vocabulary of row changes: what a [Change] is, who made it ([Attribution]), where a history is broken
// ([Break]), and the form for other programs ([Diff]). Package changes, which reads changes, has the same names, so most
// programs import only that.
package change
