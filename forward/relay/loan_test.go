package relay

import "testing"

func TestLeaves(t *testing.T) {
	for query, want := range map[string]struct{ leaves, within, reads bool }{
		"SELECT 1":                         {reads: true},
		" select a\nfrom b":                {reads: true},
		"SELECT 1;":                        {},
		"INSERT INTO a VALUES (1)":         {},
		"WITH a AS (SELECT 1) SELECT 1":    {},
		"SELECT pg_advisory_lock(1)":       {leaves: true},
		"SELECT 1 INTO TEMP a":             {leaves: true},
		"SELECT 1 INTO a":                  {},
		"UPDATE pg_settings SET a = 1":     {leaves: true},
		"SELECT nextval('a')":              {},
		"SELECT setseed(0.5)":              {leaves: true},
		"SELECT GET_LOCK('a', 1)":          {leaves: true},
		"SET LOCAL a = 1":                  {},
		"SAVEPOINT a":                      {leaves: true},
		"SELECT 1; BEGIN":                  {leaves: true},
		"SELECT 1; SET LOCAL a = 1; SET b": {leaves: true},
		"BEGIN":                            {leaves: true, within: true},
		"/* x */ SELECT 1":                 {leaves: true, within: true},
		"-- x\nBEGIN":                      {leaves: true, within: true},
		"SET a = 1":                        {leaves: true, within: true},
		"SET":                              {leaves: true, within: true},
		"CREATE TEMP TABLE a (b int)":      {leaves: true, within: true},
		"":                                 {},
	} {
		if leaves(query, false) != want.leaves || leaves(query, true) != want.within || reads(query) != want.reads {
			t.Errorf("%q: leaves %v, within a transaction %v, reads %v; want %+v", query, leaves(query, false), leaves(query, true), reads(query), want)
		}
	}
}
