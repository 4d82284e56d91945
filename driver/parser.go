package driver

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// parser recognises the statements of a connection's queries as the server will read
// them.
type parser struct {
	own     *querier
	session *session
	lexed   lex.Dialect
	key     string // the key's column
}

// isParcel reports whether query is what Record sends. A library may have added comments
// before or behind it. An app's statement that begins with the same comment is no parcel.
func (p *parser) isParcel(query string) bool {
	if query == hooks.Statement {
		return true
	}
	if !strings.HasPrefix(query, "/*") && !strings.HasPrefix(query, "--") {
		return false
	}
	before, behind, ok := strings.Cut(query, hooks.Statement)
	return ok && p.onlyComments(before) && p.onlyComments(behind)
}

func (p *parser) onlyComments(query string) bool {
	return query == "" || len(lex.Parse(p.lexed, query, "", nil)) == 0
}
