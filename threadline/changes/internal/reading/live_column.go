package reading

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
)

// LiveColumn is a column of a [LiveTable].
type LiveColumn struct {
	Name, Type string
	// Space is the type's schema, which Type begins with unless it is pg_catalog.
	Space     string
	Generated bool
	Always    bool // an identity column that takes no other values
	// Equal is the schema of the type's operator =, by which an index compares, "" if it has none. Any role can make others.
	Equal string
	// Base is the type without a length or a scale, to which a cast would truncate a value, and of a domain the one that it is made of.
	Base string

	NotNull bool
	Default bool // it has a default, or is an identity column
	Domain  bool
	// Inert says that reading a value of the type executes nothing that a role has made.
	Inert bool
	// Constrained says that it may execute what a role that is no superuser has made.
	Constrained bool

	Exact  bool // equal values have the same bytes
	Native bool // it is SQLite's
	hidden bool // its values are not kept, whatever its name is now
}

// byText reports whether values of the column are compared as texts, since a cast would execute what a role has made. The type that a domain
// is made of does without, if it is PostgreSQL's own.
func (c *LiveColumn) byText() bool {
	return c.Constrained && (!c.Domain || strings.Contains(c.Base, "."))
}

// comparand is a value to compare with the column. A cast to the column's own type might truncate it, and so find another row.
func (c *LiveColumn) comparand(v change.Value) string {
	switch {
	case c.byText():
		return CastTo(v.Text, "pg_catalog.text")
	case c.Native || c.Equal == "": // the comparison of records needs the column's own type
		return c.Literal(v)
	}
	return CastTo(v.Text, c.Base)
}

// matches is the condition that a column equals an expression. If its type has no operator for that, their bytes are compared, and their
// texts if a cast would execute what a role has made.
func (c *LiveColumn) matches(column, value string) string {
	switch {
	case c.byText():
		return "pg_catalog.concat(" + column + ") OPERATOR(pg_catalog.=) " + value + ` COLLATE "C"`
	case c.Equal == "":
		return "ROW(" + column + ")::record OPERATOR(pg_catalog.*=) ROW(" + value + ")::record"
	}
	return column + " OPERATOR(" + c.Equal + ".=) " + value
}

// Is reports whether a type, as a shape has it, is the column's: in a shape the type's schema is
// missing if it was in the search_path.
func (c *LiveColumn) Is(typ string) bool {
	return typ == c.Type || typ == strings.TrimPrefix(c.Type, c.Space+".")
}

// Equals compares the column with a value.
func (c *LiveColumn) Equals(alias string, v change.Value) string {
	return c.EqualsColumn(alias+pgschema.Ident(c.Name), v)
}

// EqualsColumn compares a column that refers to this one with a value of it.
func (c *LiveColumn) EqualsColumn(column string, v change.Value) string {
	switch {
	case c.Native:
		return sqliteIs(column, v)
	case v.Text == nil:
		return column + " IS NULL"
	case c.Equal == "":
		return "ROW(" + column + ")::record OPERATOR(pg_catalog.*=) ROW(" + c.Literal(v) + ")::record"
	case c.Equal == "pg_catalog":
		return column + " = " + c.Literal(v)
	}
	return column + " OPERATOR(" + c.Equal + ".=) " + c.Literal(v)
}

// IsArray compares a column with a value that is an array, or may have one in it: by its image, or by its bounds and the images of
// its elements. An array that has had a NULL, which an assignment to the element has replaced, has another image than one that
// never had. So do composite values that have such an array; they are compared by their texts, for which extra_float_digits has to be 1.
func (c *LiveColumn) IsArray(value change.Value) string {
	parts := func(array string) string {
		return "ROW(pg_catalog.array_dims(" + array + "), (SELECT pg_catalog.array_agg(e.e) FROM (SELECT pg_catalog.unnest(" + array + ") AS e) e))::record"
	}
	column, literal := pgschema.Ident(c.Name), c.Literal(value)
	either := []string{"ROW(" + column + ")::record OPERATOR(pg_catalog.*=) ROW(" + literal + ")::record"}
	if strings.HasSuffix(c.Base, "[]") {
		either = append(either, column+" IS NOT NULL AND "+parts(column)+" OPERATOR(pg_catalog.*=) "+parts(literal))
	}
	if c.MayHaveArray(value) {
		either = append(either, "pg_catalog.concat("+column+") OPERATOR(pg_catalog.=) "+CastTo(value.Text, "pg_catalog.text")+` COLLATE "C"`)
	}
	return "(" + strings.Join(either, " OR ") + ")"
}

// MayHaveArray reports whether a value is of a type that a role has made, and may have an array in it.
func (c *LiveColumn) MayHaveArray(v change.Value) bool {
	return !c.Native && c.Space != "pg_catalog" && v.Text != nil && strings.Contains(*v.Text, "{")
}

// CastTo is a value of a type.
func CastTo(text *string, typ string) string {
	if text == nil {
		return "NULL::" + typ
	}
	return pgtext.Literal(*text) + "::" + typ
}

// Literal is a value of the column.
func (c *LiveColumn) Literal(v change.Value) string {
	if c.Native {
		return SQLiteLiteral(v)
	}
	return CastTo(v.Text, c.Type)
}
