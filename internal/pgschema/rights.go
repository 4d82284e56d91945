package pgschema

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

const (
	insufficientPrivilege = "42501"
	askTime               = time.Second
)

// Querier is a *sql.DB or *sql.Conn.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Denied reports whether err is that of a role that lacks a right.
func Denied(err error) bool { return hooks.SQLState(err) == insufficientPrivilege }

// Roles are those that an error about missing rights names. They are "" where they could
// not be asked, as in a transaction that has failed.
type Roles struct{ Current, Owner string }

// Ask returns the session's role and the owner of a schema. Call it outside transactions,
// and with no connection of q in use: q may have only one.
func Ask(ctx context.Context, q Querier, schema string) (r Roles) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	query := "SELECT " + pgtext.HexAnywhere("current_user::pg_catalog.text") + ", coalesce((SELECT " +
		pgtext.HexAnywhere("pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text") + " FROM pg_catalog.pg_namespace n WHERE n.nspname = " + pgtext.Literal(schema) + "), '')"
	if q.QueryRowContext(ctx, query).Scan(pgtext.Scanner(&r.Current), pgtext.Scanner(&r.Owner)) != nil {
		return Roles{}
	}
	return r
}

// Who is the session's role, as the subject of a sentence.
func (r Roles) Who() string { return orElse(r.Current, "this session's role") }

// Whose is the owner of the schema.
func (r Roles) Whose() string { return orElse(r.Owner, "the schema's owner") }

func orElse(role, unknown string) string {
	if role == "" {
		return unknown
	}
	return "role " + Ident(role)
}

// Grant returns statements with the session's role in place of {role}, or with the_role
// if it is not known.
func (r Roles) Grant(statements string) string {
	role := "the_role"
	if r.Current != "" {
		role = Ident(r.Current)
	}
	return strings.ReplaceAll(statements, "{role}", role)
}
