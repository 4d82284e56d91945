// Package sqlc is what sqlc makes of schema.sql and queries.sql, as sqlc.yaml
// says: for database/sql, with prepared queries.
//
// To generate it anew, run go generate in this folder.
package sqlc

//go:generate go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate
