package capture

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// The key is in a table that only the function's owner can read, because every role may read a function's body.

func (f *target) hashes() bool {
	return slices.ContainsFunc(f.Columns, func(c catalog.Column) bool { return c.Hashed })
}

// keyMissing finds out whether there is no key for the hashes that are wanted.
func (s *Installer) keyMissing(ctx context.Context, q pgschema.Querier, f *target) (missing bool, err error) {
	if !f.hashes() || f.Unknown {
		return false, nil
	}
	err = q.QueryRowContext(ctx, "SELECT NOT EXISTS (SELECT FROM "+s.at("audit_keys")+")").Scan(&missing)
	return missing, wrap("look for the key of hashes", err)
}

// makeKey makes the key, of 32 random bytes, if there is none.
func (s *Installer) makeKey() string {
	keys := s.at("audit_keys")
	return `INSERT INTO ` + keys + ` (inner_pad, outer_pad)
WITH k AS MATERIALIZED (SELECT pg_catalog.sha256(pg_catalog.decode(pg_catalog.replace(pg_catalog.concat(pg_catalog.gen_random_uuid(), pg_catalog.gen_random_uuid(), pg_catalog.gen_random_uuid(), pg_catalog.gen_random_uuid()), '-', ''), 'hex')) AS key)
SELECT pg_catalog.string_agg(pg_catalog.set_byte(pg_catalog.decode('00', 'hex'), 0, b.byte OPERATOR(pg_catalog.#) 54), pg_catalog.decode('', 'hex') ORDER BY b.n),
	pg_catalog.string_agg(pg_catalog.set_byte(pg_catalog.decode('00', 'hex'), 0, b.byte OPERATOR(pg_catalog.#) 92), pg_catalog.decode('', 'hex') ORDER BY b.n)
FROM (SELECT n, CASE WHEN n OPERATOR(pg_catalog.<) 32 THEN pg_catalog.get_byte(k.key, n) ELSE 0 END AS byte FROM k, pg_catalog.generate_series(0, 63) n) b
WHERE NOT EXISTS (SELECT FROM ` + keys + `)
HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0
ON CONFLICT DO NOTHING`
}

// readKey reads the key. It does not wait for a lock: without the key, hashes are NULL.
func (g *generator) readKey() {
	if !g.hashes() {
		return
	}
	keys := g.installer.at("audit_keys")
	g.line(2, "BEGIN")
	g.line(3, "LOCK TABLE %s IN ACCESS SHARE MODE NOWAIT;", keys)
	g.line(3, "inner_key := (SELECT k.inner_pad FROM %s k); outer_key := (SELECT k.outer_pad FROM %s k);", keys, keys)
	g.line(2, "EXCEPTION WHEN others THEN")
	g.line(3, "inner_key := NULL;")
	g.line(2, "END;")
}

// missKey adds to audit_gaps that hashes are missing.
func (g *generator) missKey() {
	if !g.hashes() {
		return
	}
	wanted := "TG_OP OPERATOR(pg_catalog.<>) 'UPDATE'"
	for i, c := range g.Columns {
		switch {
		case !g.Keyed(): // an update keeps whole rows
			wanted = "true"
		case c.Hashed:
			wanted += fmt.Sprintf(" OR c%d", i+1)
		}
	}
	g.line(1, "IF shape_id IS NOT NULL AND pg_catalog.num_nulls(inner_key, outer_key) OPERATOR(pg_catalog.>) 0 AND TG_OP OPERATOR(pg_catalog.<>) 'TRUNCATE' AND (%s) THEN", wanted)
	g.addGap("'"+catalog.Unhashed+"'", "'the key of hashes could not be read'", "is kept without the hashes of its values")
	g.line(1, "END IF;")
}

// hash is the HMAC-SHA-256 of a value's text with a V in front, or of N for NULL. A value whose text might be too long to
// be made has no hash.
func hash(c *catalog.Column, value string) string {
	message := "pg_catalog.convert_to(CASE WHEN " + is("pg_catalog.num_nulls("+value+")", "1") + " THEN 'N' ELSE pg_catalog.concat('V', " + value + ") END, pg_catalog.getdatabaseencoding())"
	hash := "pg_catalog.encode(pg_catalog.sha256(outer_key OPERATOR(pg_catalog.||) pg_catalog.sha256(inner_key OPERATOR(pg_catalog.||) " + message + ")), 'hex')"
	if !c.Long {
		return hash
	}
	return "CASE WHEN coalesce(pg_catalog.pg_column_size(" + value + "), 0) OPERATOR(pg_catalog.<=) " + strconv.Itoa(longDigest) + " THEN " + hash + " END"
}
