package catalog

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// SQLiteIndex is a unique one.
type SQLiteIndex struct {
	Terms   []SQLiteTerm
	Where   string // of a partial one
	Unknown bool   // its text could not be read
	Name    string
}

// SQLiteTerm is a column or an expression of an index.
type SQLiteTerm struct{ Column, Expression, Collation string }

// isConstant reports whether a default is a number or a text. An expression may have another value each time.
func isConstant(text string) bool {
	if text == "" {
		return false
	}
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && strings.ContainsAny(text, "0123456789") || text[0] == '\'' && quotedLength(text) == len(text)
}

// ReadIndexes reads the unique ones.
func (s SQLite) ReadIndexes(ctx context.Context, q Querier, t *SQLiteTable) error {
	type one struct{ name, sql string }
	list, err := ReadAll(ctx, q, func(rows *sql.Rows) (i one, err error) { return i, rows.Scan(&i.name, &i.sql) },
		`SELECT i.name, coalesce(m.sql, '') FROM pragma_index_list(?, 'main') i LEFT JOIN main.sqlite_master m ON m.type = 'index' AND m.name = i.name WHERE i."unique" ORDER BY i.name`, t.Table)
	if err != nil {
		return err
	}
	for _, i := range list {
		index := SQLiteIndex{Name: i.name}
		index.Terms, err = ReadAll(ctx, q, func(rows *sql.Rows) (c SQLiteTerm, err error) {
			return c, rows.Scan(&c.Column, &c.Collation)
		}, `SELECT coalesce(name, ''), coalesce(coll, 'BINARY') FROM pragma_index_xinfo(?, 'main') WHERE key ORDER BY seqno`, i.name)
		if err != nil {
			return err
		}
		expressions, where, ok := parseIndex(i.sql)
		index.Where = where
		for n := range index.Terms {
			switch {
			case index.Terms[n].Column != "":
			case ok && len(expressions) == len(index.Terms):
				index.Terms[n].Expression = expressions[n]
			default:
				index.Unknown = true
			}
		}
		index.Unknown = index.Unknown || !ok && i.sql != ""
		t.Unique = append(t.Unique, index)
	}
	return nil
}

// Text is an index as audit_captures has it.
func (i *SQLiteIndex) Text() string {
	var list []string
	for _, t := range i.Terms {
		list = append(list, t.Column, t.Expression, t.Collation)
	}
	return rowtext.FormatSQLite(append(list, i.Where))
}

// parseIndex reads the terms of a CREATE INDEX, and its WHERE. ok is false if it is none.
func parseIndex(text string) (terms []string, where string, ok bool) {
	depth, start := 0, -1
	add := func(end int) {
		term := strings.TrimSpace(text[start:end])
		for _, order := range []string{"ASC", "DESC"} {
			if before := len(term) - len(order); before > 0 && strings.EqualFold(term[before:], order) && strings.ContainsAny(term[before-1:before], " \t\r\n)\"`]'/") {
				term = strings.TrimSpace(term[:before])
				break
			}
		}
		terms = append(terms, term)
	}
	for i := 0; i < len(text); {
		if n := Skipped(text[i:]); n > 0 {
			i += n
			continue
		}
		switch text[i] {
		case '(':
			if depth++; depth == 1 && start < 0 {
				start = i + 1
			}
		case ',':
			if depth == 1 {
				add(i)
				start = i + 1
			}
		case ')':
			if depth--; depth == 0 {
				add(i)
				rest := strings.TrimSpace(withoutComments(text[i+1:]))
				if rest == "" {
					return terms, "", true
				}
				if len(rest) > 5 && strings.EqualFold(rest[:5], "WHERE") {
					return terms, strings.TrimSpace(rest[5:]), true
				}
				return nil, "", false
			}
		}
		i++
	}
	return nil, "", false
}

// Skipped is the length of a quoted text or comment at the start of an SQL text.
func Skipped(text string) int {
	switch {
	case strings.HasPrefix(text, "--"):
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			return i + 1
		}
		return len(text)
	case strings.HasPrefix(text, "/*"):
		if i := strings.Index(text[2:], "*/"); i >= 0 {
			return i + 4
		}
		return len(text)
	}
	return quotedLength(text)
}

// withoutComments replaces them by a space: one at the end of a condition would hide what is put behind it.
func withoutComments(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		n := Skipped(text[i:])
		switch {
		case n == 0:
			b.WriteByte(text[i])
			i++
			continue
		case text[i] == '-' || text[i] == '/':
			b.WriteByte(' ')
		default:
			b.WriteString(text[i : i+n])
		}
		i += n
	}
	return b.String()
}
