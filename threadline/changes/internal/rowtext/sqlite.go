package rowtext

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// FormatSQLite is the text of a row as the triggers write it.
func FormatSQLite(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = `"` + strings.NewReplacer(`"`, `""`, `\`, `\\`).Replace(v) + `"`
	}
	return "(" + strings.Join(quoted, ",") + ")"
}

// SQLiteOf is an expression of the text of a row of these columns. Each has a letter for its type in front. A
// -0.0 becomes 0.0, as it does when SQLite stores it.
func SQLiteOf(row string, columns []string) string {
	list := make([]string, len(columns))
	for i, k := range columns {
		v := row + "." + pgschema.Ident(k)
		list[i] = `'"' || replace(replace(CASE typeof(` + v + ") WHEN 'integer' THEN 'i' || " + v + " WHEN 'real' THEN 'r' || printf('%!.17g', " + v + " + 0.0) WHEN 'text' THEN 't' || " + v +
			" WHEN 'blob' THEN 'b' || hex(" + v + `) END, '\', '\\'), '"', '""') || '"'`
	}
	return "'(' || " + strings.Join(list, " || ',' || ") + " || ')'"
}
