package driver

import (
	"context"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// ask asks MySQL what a name stands for. SHOW CREATE TABLE resolves the name
// as the app's statement will, to a temporary table, too, and reads no snapshot,
// which would be that of the app's transaction from then on.
func (d mysql) ask(ctx context.Context, k *catalog, t lex.Table, _ bool) (*relation, error) {
	if k.session.reading > 0 {
		return nil, nil
	}
	text := ""
	err := k.own.read(ctx, "SHOW CREATE TABLE "+mysqlName(t), nil, func(row []string) {
		if len(row) > 1 {
			text = row[1]
		}
	})
	r := k.asWritten(t)
	s := &r.steps[0]
	s.key = otherColumn
	switch n := mysqlNumber(err); {
	case n == noSuchTable:
		r.missing = true
		return r, nil
	case n == notLocked: // among LOCK TABLES
		return nil, nil
	case n != 0 && !rollsBack(n): // the app may write to it, but not look at it
		return r, nil
	case err != nil, text == "":
		return nil, err
	}
	shown := lex.ParseShown(k.session.shows, text, k.key)
	s.view, s.temporary = shown.View, shown.Temporary
	if !shown.Alone || !enforces(shown.Engine) {
		return r, nil
	}
	if s.key = mysqlColumns[shown.Type]; s.key == someColumn {
		s.key = otherColumn
		return r, nil
	}
	if shown.Generated {
		s.rekeys = updates
	}
	err = d.askTriggers(ctx, k, t, r)
	return r, err
}

// mysqlColumns are the types of which a key is named.
var mysqlColumns = map[string]keyType{
	"tinyint": integerColumn, "smallint": integerColumn, "mediumint": integerColumn, "int": integerColumn, "bigint": integerColumn,
	"char": textColumn, "varchar": textColumn,
	"uuid": uuidColumn, // MariaDB's
}

// enforces reports whether a storage engine keeps the keys of a whole table unique,
// which those do not whose tables are made of others.
func enforces(engine string) bool {
	switch engine {
	case "innodb", "myisam", "aria", "memory", "rocksdb", "ndbcluster":
		return true
	}
	return false
}

// mysqlKey is the one spelling of a key in a column of MySQL. For a 0,
// AUTO_INCREMENT makes another number. Of texts, the collation decides which are
// the same, and compared with a number '7', '07' and '7a' are: only UUIDs are
// named there, as they are commonly written.
func mysqlKey(column keyType, s string) string {
	switch column {
	case integerColumn:
		if n := integerText(s); n != "0" {
			return n
		}
	case uuidColumn:
		return uuidText(s)
	case textColumn:
		if s == uuidText(s) {
			return s
		}
	}
	return ""
}

// triggersQuery lists the BEFORE triggers of table %t in schema %s, which may
// change a row's key, and says whether the user would see any: a user without the
// privilege TRIGGER sees none.
const triggersQuery = `%firstSELECT 'before', EVENT_MANIPULATION FROM information_schema.TRIGGERS
		WHERE EVENT_OBJECT_SCHEMA = %s AND EVENT_OBJECT_TABLE = %t AND ACTION_TIMING = 'BEFORE'
	UNION ALL SELECT 'sees', '' FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = %user AND PRIVILEGE_TYPE = 'TRIGGER'
	UNION ALL SELECT 'sees', '' FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = %user AND PRIVILEGE_TYPE = 'TRIGGER'
		AND %s LIKE TABLE_SCHEMA
	UNION ALL SELECT 'sees', '' FROM information_schema.TABLE_PRIVILEGES WHERE GRANTEE = %user AND PRIVILEGE_TYPE = 'TRIGGER'
		AND TABLE_SCHEMA = %s AND TABLE_NAME = %t`

// onlyMariaDB makes a query fail on MySQL, before it reads anything.
const onlyMariaDB = "SELECT 'in', @@in_transaction UNION ALL "

// askTriggers finds out which operations on t may change a row's key by a trigger.
// Inside a transaction MySQL cannot be asked: its information_schema, other than
// MariaDB's, is read with the snapshot that the app's own reads would begin (MySQL
// worklog 7464).
func (mysql) askTriggers(ctx context.Context, k *catalog, t lex.Table, r *relation) error {
	const rows = inserts | updates
	s := &r.steps[0]
	by := s.rekeys
	s.rekeys |= rows // unless the opposite is certain
	first, schema := "", t.Schema
	if schema == "" {
		schema = k.session.schema
	}
	switch {
	case strings.ContainsAny(schema+t.Name, `'\`):
		return nil
	case k.tx.Open() && k.session.noInTransaction.Load():
		r.partial = true
		return nil
	case k.tx.Open():
		first = onlyMariaDB
	}
	sees := false
	query := strings.NewReplacer("%first", first, "%user", `CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')`,
		"%s", "'"+schema+"'", "%t", "'"+t.Name+"'").Replace(triggersQuery)
	err := k.own.read(ctx, query, nil, func(row []string) {
		switch row[0] + " " + row[1] {
		case "sees ":
			sees = true
		case "before INSERT":
			by |= inserts
		case "before UPDATE":
			by |= updates
		}
	})
	switch n := mysqlNumber(err); {
	case n == unknownVariable:
		k.session.noInTransaction.Store(true)
		r.partial = true
	case n != 0 && !rollsBack(n):
	case err != nil:
		return err
	case sees:
		s.rekeys = by
	}
	return nil
}

// mysqlName is a name as every sql_mode reads it.
func mysqlName(t lex.Table) string {
	name := "`" + strings.ReplaceAll(t.Name, "`", "``") + "`"
	if t.Schema == "" {
		return name
	}
	return "`" + strings.ReplaceAll(t.Schema, "`", "``") + "`." + name
}
