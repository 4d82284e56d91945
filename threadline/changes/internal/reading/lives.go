package reading

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// Lives follows the rows of a table through their keys. A key is the text of a row, as package rowtext formats it.
type Lives struct {
	Reader  *Reader
	DB      catalog.Querier
	TableID int64
	Under   map[string][]*Row // the changes that have a key, or have had it before
	table   *Table            // if it is set, on SQLite the values of changes are read, too

	Deferrable bool // two rows may have a key in the middle of a transaction
}

// All returns the changes of all rows that have had a key.
func (l *Lives) All(ctx context.Context, key string) ([]*Row, error) {
	each, err := l.Each(ctx, key)
	return slices.Concat(each...), err
}

// Each returns the same, row by row. A row that was inserted again is another one. A change that may be of any row stands alone.
func (l *Lives) Each(ctx context.Context, key string) (each [][]*Row, err error) {
	list, err := l.Changes(ctx, key)
	if err != nil {
		return nil, err
	}
	goesOn := false
	for _, r := range list {
		keyed := r.Key.Valid || r.FormerKey.Valid
		var life []*Row
		switch last := len(each) - 1; {
		case r.Began(key):
			if life, err = l.before(ctx, r, r.FormerKey.String); err != nil {
				return nil, err
			}
			each = except(each, life) // the row may have had the key before, and another in between
		case goesOn && keyed && r.Op != "I":
			life, each = each[last], each[:last]
		}
		each = append(each, append(life, r))
		goesOn = keyed && !r.Ended(key)
	}
	return each, nil
}

// except leaves some changes out.
func except(each [][]*Row, some []*Row) [][]*Row {
	out := make(map[ChangeID]bool, len(some))
	for _, r := range some {
		out[r.ID()] = true
	}
	for i := range each {
		each[i] = slices.DeleteFunc(each[i], func(r *Row) bool { return out[r.ID()] })
	}
	return slices.DeleteFunc(each, func(life []*Row) bool { return len(life) == 0 })
}

// Until returns the changes of a row from its INSERT to r, which has left it with a key.
func (l *Lives) Until(ctx context.Context, r *Row, key string) (life []*Row, err error) {
	switch {
	case r.Began(key):
		life, err = l.before(ctx, r, r.FormerKey.String)
	case r.Op != "I":
		life, err = l.before(ctx, r, key)
	}
	return append(life, r), err
}

// before returns the changes of a row from its INSERT until r, without r. Before r it had the key.
func (l *Lives) before(ctx context.Context, r *Row, key string) (life []*Row, err error) {
	for r != nil {
		list, err := l.Changes(ctx, key)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, r.Is) // it is there, since r has the key, or has changed it
		r = nil
		for i--; i >= 0 && !list[i].Ended(key); i-- {
			life = append(life, list[i])
			if list[i].Began(key) {
				r = list[i]
			}
			if list[i].Op == "I" || r != nil {
				break
			}
		}
		if r != nil {
			key = r.FormerKey.String
		}
	}
	slices.Reverse(life)
	return life, nil
}

// Changes returns those that have a key, have changed it, or have none.
func (l *Lives) Changes(ctx context.Context, key string) (list []*Row, err error) {
	if known, ok := l.Under[key]; ok {
		return known, nil
	}
	if s, ok := l.Reader.OnSQLite(); ok {
		if list, err = s.changesOf(ctx, l.DB, l.TableID, key); err == nil && l.table != nil {
			err = s.ReadWhole(ctx, l.DB, l.table, list)
		}
	} else if list, err = catalog.ReadAll(ctx, l.DB, ScanRow, l.Reader.changesOfKey(), l.TableID, key); err == nil {
		err = l.Reader.inClusters(ctx, l.DB, list)
	}
	if err != nil {
		return nil, catalog.Wrap("read the history", err)
	}
	list = ByVersion(ByCluster(list))
	if _, lite := l.Reader.OnSQLite(); !lite {
		list = byHolder(list, key, l.Deferrable)
	}
	l.Under[key] = list
	return list, nil
}

// changesOfKey is the query for the changes of a table that have a key, have changed it, or have
// none. Each of the three parts uses its own index.
func (s *Reader) changesOfKey() string {
	table := s.At("audit_changes")
	one := func(column string) string {
		return "SELECT * FROM " + table + " c WHERE " + WithKey(column, "$2", "$1")
	}
	return s.SelectChanges("c.system", "("+one("key")+" UNION ALL "+one("former_key")+" UNION ALL SELECT * FROM "+table+" WHERE key IS NULL AND table_id = $1) c ORDER BY c.lsn")
}

// Has reports whether rows with a key have changes.
func (l *Lives) Has(ctx context.Context, key []string) (bool, error) {
	if key == nil {
		return false, nil
	}
	text := rowtext.Format(key)
	if list, read := l.Under[text]; read {
		return slices.ContainsFunc(list, func(r *Row) bool { return r.Key.Valid }), nil
	}
	one := func(column string) string {
		return "EXISTS (SELECT FROM " + l.Reader.At("audit_changes") + " c WHERE " + WithKey(column, "$2", "$1") + ")"
	}
	var is bool
	err := l.DB.QueryRowContext(ctx, "SELECT "+one("key")+" OR "+one("former_key"), l.TableID, text).Scan(&is)
	if hooks.SQLState(err) == "22021" {
		return false, &keyError{fmt.Sprintf("changes: no row can have this key: %q is no text in the session's client_encoding", key), err}
	}
	return is, catalog.Wrap("read the history", err)
}

// Follow returns the changes of a row after r, also under other keys, and then those of the rows that got its last key when
// it was gone, unless they have another key now.
func (l *Lives) Follow(ctx context.Context, r *Row) (list []*Row, err error) {
	for r != nil {
		key := r.Key.String
		all, err := l.Changes(ctx, key)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, r.Is) + 1
		gone, other := false, 0 // where in list the changes of the row begin that has the key then
		for r = nil; i < len(all) && r == nil; i++ {
			one := all[i]
			if one.Op == "I" || one.Began(key) {
				other = len(list)
			}
			list = append(list, one)
			switch left := one.Op == "U" && one.Ended(key); {
			case left && gone:
				list = list[:other]
			case left:
				r = one // and goes on under another key
			case one.Ended(key):
				gone, other = true, len(list)
			}
		}
	}
	return list, nil
}
