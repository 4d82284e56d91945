// Package otherdialect recognises errors of a database that speaks another dialect than
// the one it was asked in, because the caller has named the wrong one.
package otherdialect

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// fromMySQL is how an error of MySQL's begins, which has its SQLSTATE in the text only.
var fromMySQL = regexp.MustCompile(`\bError \d{4}( \(\w{5}\))?: `)

// of returns the dialect of the database that an error comes from, "" if it does not show it. SQLite, which has no SQLSTATEs,
// takes PostgreSQL's schemas for attached files and its casts for errors.
func of(state, text string) hooks.Dialect {
	switch {
	case state != "":
		return hooks.Postgres
	case fromMySQL.MatchString(text):
		return hooks.MySQL
	case strings.Contains(text, "no such table"), strings.Contains(text, "syntax error"), strings.Contains(text, "unrecognized token"):
		return hooks.SQLite
	}
	return ""
}

// Shows reports whether an error, of which state is the SQLSTATE, comes from a database of
// another dialect than d.
func Shows(d hooks.Dialect, state, text string) bool {
	is := of(state, text)
	return is != "" && is != d
}

// names are the databases of the dialects, and how a program names these.
var names = map[hooks.Dialect][2]string{
	hooks.Postgres: {"PostgreSQL", "hooks.Postgres"},
	hooks.SQLite:   {"SQLite", "hooks.SQLite"},
	hooks.MySQL:    {"MySQL or MariaDB", ""},
}

// Explain returns the error with what to do if it [Shows] that maker, a function, was given the wrong dialect, else nil.
func Explain(d hooks.Dialect, maker string, err error) error {
	if err == nil || !Shows(d, hooks.SQLState(err), err.Error()) {
		return nil
	}
	is := names[of(hooks.SQLState(err), err.Error())]
	remedy := "give it " + is[1]
	if is[1] == "" {
		remedy = "give it a database that is PostgreSQL or SQLite"
	}
	return fmt.Errorf("this is a %s database, and %s was given the dialect of %s: %s: %w", is[0], maker, names[d][0], remedy, err)
}
