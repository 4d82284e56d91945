package lent_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/internal/lent"
)

func TestMentionsSession(t *testing.T) {
	for query, want := range map[string]bool{
		"":                                  false,
		"SELECT 1 FROM t FOR UPDATE":        false,
		"SELECT * FROM locked SKIP LOCKED":  false,
		"INSERT INTO sets VALUES ('x')":     false,
		"te":                                false,
		"SELECT 1 INTO TEMP":                true,
		"CREATE TABLE pg_Temp.t (a int)":    true,
		"UPDATE pg_settings SET a = 1":      true,
		"SELECT Set_Config('a', 'b', true)": true,
		"SELECT setseed(0.5)":               true,
		"SELECT pg_try_advisory_lock(1)":    true,
		"SELECT pg_replication_origin_session_setup('a')": true,
		"SELECT GET_LOCK('a', 1)":                         true,
		"SELECT RELEASE_LOCK('a')":                        true,
		"SELECT RELEASE_ALL_LOCKS()":                      true,
		`SELECT U&"set\005fconfig"('a', 'b', false)`:      true,
	} {
		if got := lent.MentionsSession(query); got != want {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
}
