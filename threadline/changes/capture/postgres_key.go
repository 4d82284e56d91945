package capture

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// declareKey makes the columns of t.Key the key, if they are NOT NULL and a unique index has exactly these.
func (f *target) declareKey(ctx context.Context, q pgschema.Querier, t Table) error {
	for _, k := range t.Key {
		if i := f.Position(k); i >= 0 && !f.Columns[i].NotNull {
			return fmt.Errorf("capture: table %s: %w", t.Name, &keyError{fmt.Errorf("column %q of the key may be NULL: make it NOT NULL", k)})
		}
	}
	var proven bool
	list, err := json.Marshal(t.Key)
	if err != nil {
		return wrap("read the key of "+t.Name, err)
	}
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = $1::pg_catalog.int8::pg_catalog.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
		AND i.indpred IS NULL AND i.indexprs IS NULL
		AND (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attname::pg_catalog.text) FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY k (number, n), pg_catalog.pg_attribute a
			WHERE k.n <= i.indnkeyatts AND a.attrelid = i.indrelid AND a.attnum = k.number)
		= (SELECT pg_catalog.array_agg(w ORDER BY w) FROM pg_catalog.json_array_elements_text($2::pg_catalog.json) w))`, int64(f.OID), string(list)).Scan(&proven)
	if err != nil {
		return wrap("read the key of "+t.Name, err)
	}
	if !proven {
		return fmt.Errorf("capture: table %s: %w", t.Name,
			&keyError{fmt.Errorf("no unique index has exactly the columns of the key, %s: add one that is neither partial nor deferrable", strings.Join(t.Key, ", "))})
	}
	f.Key = slices.Clone(t.Key)
	return nil
}
