// Package ent is what ent makes of the schema in the folder beside it, with the
// feature sql/execquery, by which its transactions execute SQL of an app's own,
// and Record.
//
// To generate it anew, run go generate in this folder.
package ent

//go:generate go run entgo.io/ent/cmd/ent@v0.14.5 generate --feature sql/execquery ./schema
