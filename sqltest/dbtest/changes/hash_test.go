package changes_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestHash: a hashed column has the same hash for the same value, whatever the session prefers, in all
// tables. Neither the value nor the key is anywhere else, and without the key there is no hash.
func TestHash(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.exec("CREATE TABLE t (id int PRIMARY KEY, card text, at timestamptz, big bytea)", "CREATE TABLE u (id int, number text)")
		tables := []capture.Table{{Name: "t", Hash: []string{"card", "at", "big"}}, {Name: "u", Hash: []string{"number"}}}
		plan := w.capture(tables...).String()
		w.exec("INSERT INTO t VALUES (1, 'visa-1', '2026-01-01 00:00+00', '\\x00'), (2, NULL, NULL, NULL)", "SET TimeZone = 'Asia/Kolkata'", "SET bytea_output = 'escape'", "SET standard_conforming_strings = off",
			"UPDATE t SET at = '2026-01-01 05:30', big = decode('00', 'hex'), card = 'visa-2' WHERE id = 1", "UPDATE t SET card = 'visa-1', at = '2026-01-02 00:00+00' WHERE id = 1", "RESET ALL", "INSERT INTO u VALUES (1, 'visa-1')")

		// As Go has it.
		inner, err := hex.DecodeString(w.text("SELECT encode(inner_pad, 'hex') FROM threadline.audit_keys"))
		w.must(err)
		key := make([]byte, 32)
		for i := range key {
			key[i] = inner[i] ^ 0x36
		}
		hash := func(message string) string {
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(message))
			return "(masked " + hex.EncodeToString(mac.Sum(nil)) + ")"
		}
		card, other, null := hash("Vvisa-1"), hash("Vvisa-2"), hash("N")
		w.wantStory("insert id: NULL → 1; card: NULL → "+card+"; at: NULL → "+hash("V2026-01-01 00:00:00+00")+"; big: NULL → "+hash(`V\x00`)+";\n"+
			"update card: "+card+" → "+other+";\nupdate card: "+other+" → "+card+"; at: "+hash("V2026-01-01 00:00:00+00")+" → "+hash("V2026-01-02 00:00:00+00")+";", "t", "1")
		w.wantStory("insert id: NULL → 2; card: NULL → "+null+"; at: NULL → "+null+"; big: NULL → "+null+";", "t", "2")
		if got := w.text("SELECT new_row FROM threadline.audit_changes ORDER BY lsn DESC LIMIT 1"); "(masked "+strings.Trim(got[2:], ",()")+")" != card {
			w.Errorf("in another table: %s", got)
		}

		// Drift leaves them out.
		w.exec("ALTER TABLE t ADD x int", "UPDATE t SET card = 'visa-3', x = 1 WHERE id = 2")
		all := plan + w.text("SELECT string_agg(c::text, ' ') FROM threadline.audit_changes c") + w.text("SELECT string_agg(prosrc, ' ') FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace")
		for _, secret := range []string{"visa-1", "visa-2", "visa-3", hex.EncodeToString(key[:8]), hex.EncodeToString(inner[:8])} {
			if strings.Contains(all, secret) {
				w.Errorf("%s is in %s", secret, all)
			}
		}
		w.capture(tables...)
		if n := w.text("SELECT count(*) FROM threadline.audit_gaps"); n != "0" {
			w.Errorf("%s gaps", n)
		}

		// The key is locked, and missing; then a plan makes another.
		before := w.changes()
		w.db.SetMaxOpenConns(2)
		tx, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		_, err = tx.ExecContext(ctx, "LOCK TABLE threadline.audit_keys")
		w.must(err)
		w.exec("UPDATE t SET card = '1' WHERE id = 1")
		w.must(tx.Rollback())
		w.exec("DELETE FROM threadline.audit_keys", "UPDATE t SET card = '2' WHERE id = 1")
		if got := w.text("SELECT count(*) - "+before+" FROM threadline.audit_changes") + w.text("SELECT count(*) FROM threadline.audit_gaps"); got != "22" {
			w.Errorf("changes and gaps without the key: %s", got)
		}
		if got := w.story("t", "1"); !strings.HasSuffix(got, "\nupdate card: (masked) → (masked);\nupdate card: (masked) → (masked);") {
			w.Errorf("without the key: %s", got)
		}
		w.capture(tables...)
		w.exec("UPDATE t SET card = 'visa-1' WHERE id = 1")
		if got := w.story("t", "1"); !strings.HasSuffix(got, ");") || strings.HasSuffix(got, "(masked);") || strings.HasSuffix(got, card+";") {
			w.Errorf("with another key: %s", got)
		}
		if _, err = w.installer().Plan(ctx, capture.Table{Name: "t", Hash: []string{"id"}}); err == nil || !strings.Contains(err.Error(), "is in the key") {
			w.Errorf("a key that is hashed: %v", err)
		}
		p, err := w.installer().Plan(ctx, capture.Table{Name: "t", Mask: []string{"card", "at", "big"}})
		w.must(err)
		if len(p.Warnings) != 0 {
			w.Errorf("a mask in place of a hash: %q", p.Warnings)
		}
	})
}

// TestUnhashed: a change that is kept without hashes is no gap: it is in the history, and can be undone. That it has
// none is told where it should have.
func TestUnhashed(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, card text)", "CREATE TABLE u (a int, card text)")
		w.capture(capture.Table{Name: "t", Hash: []string{"card"}}, capture.Table{Name: "u", Hash: []string{"card"}})
		w.exec("INSERT INTO t VALUES (1, 1, 'x')", "INSERT INTO u VALUES (1, 'x')", "DELETE FROM threadline.audit_keys", "UPDATE t SET a = 2")
		if got := w.text("SELECT count(*) FROM threadline.audit_gaps"); got != "0" {
			w.Errorf("%s hashes are missing of an update that has none", got)
		}
		w.exec("UPDATE t SET card = 'y'", "UPDATE u SET a = 2", "INSERT INTO t VALUES (2, 1, 'x')")
		w.wantStory("insert id: NULL → 2; a: NULL → 1; card: NULL → (masked);", "t", "2")
		w.wantBreaks("began t: its capture began\nunhashed t: changes that were kept without hashes: 1: the key of hashes could not be read\n"+
			"unhashed t: changes that were kept without hashes: 1: the key of hashes could not be read", "t")
		w.wantBreaks("began u: its capture began\nunhashed u: changes that were kept without hashes: 1: the key of hashes could not be read", "u")
		history, err := w.store.History(ctx, "t", "2")
		w.must(err)
		tx, err := w.store.Transaction(ctx, history[0].XID, history[0].TxStartedAt, 10)
		w.must(err)
		if len(tx.Lost) > 0 || len(tx.Changes) != 1 {
			w.Errorf("the transaction is %+v", tx)
		}
		u, err := undo.Transaction(ctx, w.store, history[0].XID, history[0].TxStartedAt)
		w.must(err)
		if len(u.Refusals) > 0 || len(u.Statements) != 1 {
			w.Errorf("the undo is %s", u)
		}
	}, dbtest.PQ)
}
