package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
	"github.com/go-aftercommit/aftercommit/threadline/internal/near"
)

// SQLiteTriggers is how the names of ours go on behind the prefix.
const SQLiteTriggers = "capture_"

// Formerly is the condition that the table of a capture had a name at some capture.
func (s SQLite) Formerly(capture, name string) string {
	return fmt.Sprintf("EXISTS (SELECT 1 FROM %s f WHERE f.table_id = %s.table_id AND f.table_name = %s COLLATE NOCASE)", s.In("audit_captures"), capture, name)
}

// Trigger is the name of one of ours.
func (s SQLite) Trigger(id int64, when string) string {
	return fmt.Sprintf("%s_%s%016x_%s", s.Schema, SQLiteTriggers, id, when)
}

// TriggerOf is an expression of it.
func (s SQLite) TriggerOf(id string) string {
	return "printf('%s_%s%016x_insert', " + sqlitetext.Literal(s.Schema) + ", '" + SQLiteTriggers + "', " + id + ")"
}

// sqliteEvents are those for which a table has one of ours, as their names go on behind the table's number.
var sqliteEvents = []string{"insert", "update", "delete", "replaces", "moves", SQLiteSettle}

// SQLiteSettle looks at an UPDATE, or only at one of some columns. Then SQLiteLetGo looks at each.
const (
	SQLiteSettle = "settle"
	SQLiteLetGo  = "let_go"
)

// Missing reports whether it has not all of them.
func (s SQLite) Missing(t *SQLiteTable) bool {
	wanted := sqliteEvents
	if strings.Contains(t.Triggers[s.Trigger(t.TableID(), SQLiteSettle)], " AFTER UPDATE OF ") {
		wanted = append(slices.Clip(wanted), SQLiteLetGo)
	}
	return slices.ContainsFunc(wanted, func(when string) bool { return t.Triggers[s.Trigger(t.TableID(), when)] == "" })
}

// ParseSQLiteName reads a name as SQL has it.
func ParseSQLiteName(text string) (schema, name string, err error) {
	var parts []string
	for rest := text; ; {
		var part string
		if part, rest, err = CutSQLiteName(rest); err != nil {
			return "", "", err
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
		if rest[0] != '.' {
			return "", "", errors.New("quote a name with other characters than letters, digits and _")
		}
		rest = rest[1:]
	}
	switch len(parts) {
	case 1:
		return "", parts[0], nil
	case 2:
		return parts[0], parts[1], nil
	}
	return "", "", errors.New("its name has more than two parts")
}

// meantSQLite names the table that may be meant by a name that no table has.
func meantSQLite(ctx context.Context, q Querier, name string) string {
	scan := func(rows *sql.Rows) (table string, err error) { return table, rows.Scan(&table) }
	names, err := ReadAll(ctx, q, scan, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') LIMIT "+strconv.Itoa(mostCandidates))
	similar := near.Of(name, names)
	if err != nil || similar == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", similar)
}

// IsOwn reports whether a table is SQLite's, or one of ours.
func (s SQLite) IsOwn(table string) bool {
	table = strings.ToLower(table)
	prefix := strings.ToLower(s.Schema)
	if table == prefix+"_record" { // the view that Forwarder writes to
		return true
	}
	return strings.HasPrefix(table, "sqlite_") || strings.HasPrefix(table, "aftercommit_") || strings.HasPrefix(table, prefix+"_audit_") || table == prefix+"_schema_version"
}

// CutSQLiteName cuts a name, which may be quoted, off the start of a text.
func CutSQLiteName(text string) (name, rest string, err error) {
	if text == "" {
		return "", "", errors.New("it has no name")
	}
	if n := quotedLength(text); n > 0 {
		q := text[n-1 : n]
		return strings.ReplaceAll(text[1:n-1], q+q, q), text[n:], nil
	}
	if i := strings.IndexAny(text, `."'[] `+"`"); i == 0 {
		return "", "", errors.New("it has no name")
	} else if i > 0 {
		return text[:i], text[i:], nil
	}
	return text, "", nil
}

// quotedLength is the length of the quoted text at the start of an SQL text, 0 if there is none, or it does
// not end.
func quotedLength(text string) int {
	q := text[0]
	switch q {
	case '"', '`', '\'':
	case '[':
		return strings.IndexByte(text, ']') + 1
	default:
		return 0
	}
	for i := 1; i < len(text); i++ {
		if text[i] != q {
			continue
		}
		if i+1 < len(text) && text[i+1] == q {
			i++
			continue
		}
		return i + 1
	}
	return 0
}
