package contract_test

import (
	"strings"
	"testing"
)

// TestSpellings: the same words in all the ways that the servers read them.
func TestSpellings(t *testing.T) {
	var rows []row
	commits := func(begin, commit string) script {
		return script(begin + " | +1 | !a | " + commit + " | BEGIN | ROLLBACK")
	}
	for _, begin := range []string{
		"BEGIN WORK", "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE", "START TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"BEGIN NOT DEFERRABLE", "begin\ttransaction\n", "/* /* x */ ROLLBACK */ BEGIN", "-- x\nBEGIN", ";; BEGIN ;;",
	} {
		rows = append(rows, kept("begins: "+begin, commits(begin, "COMMIT"), "1", "a", pg...))
	}
	for _, begin := range []string{
		"BEGIN DEFERRED", "BEGIN EXCLUSIVE TRANSACTION", "BEGIN IMMEDIATE TRANSACTION", "begin\ttransaction\n",
		"/* /* x */ BEGIN", "-- x\nBEGIN", "\ufeffBEGIN", "BEGIN ;;",
	} {
		rows = append(rows, kept("begins: "+begin, commits(begin, "COMMIT"), "1", "a", lite...))
	}
	for _, commit := range []string{
		"COMMIT WORK", "COMMIT TRANSACTION", "END WORK", "END TRANSACTION", "COMMIT AND NO CHAIN", "Commit/**/Work",
		"\fCOMMIT", "; ;COMMIT", "COMMIT -- x", "/* /* x */ ROLLBACK */ COMMIT", "--x\rCOMMIT", "commit;",
	} {
		rows = append(rows, kept("commits: "+commit, commits("BEGIN", commit), "1", "a", pg...))
	}
	for _, commit := range []string{
		"COMMIT TRANSACTION", "END TRANSACTION", "Commit/**/Transaction", "\fCOMMIT", "COMMIT -- x",
		"/* /* x */ COMMIT", "--x\rROLLBACK\nCOMMIT", "\ufeffCOMMIT", "commit;", "COMMIT /* x",
	} {
		rows = append(rows, kept("commits: "+commit, commits("BEGIN", commit), "1", "a", lite...))
	}
	for _, rollback := range []string{
		"ROLLBACK WORK", "ROLLBACK TRANSACTION", "ABORT WORK", "ABORT TRANSACTION", "ROLLBACK AND NO CHAIN", "rollback;",
	} {
		rows = append(rows, kept("rolls back: "+rollback, script("BEGIN | +1 | !a | "+rollback+" | BEGIN | COMMIT"), "", "", pg...))
	}
	for _, rollback := range []string{"ROLLBACK TRANSACTION", "rollback;", "\ufeffROLLBACK"} {
		rows = append(rows, kept("rolls back: "+rollback, script("BEGIN | +1 | !a | "+rollback+" | BEGIN | COMMIT"), "", "", lite...))
	}
	check(t, []way{byExec, byPrepare}, rows...)
}

// TestSavepointSpellings: names are the same to us if they are to the server.
func TestSavepointSpellings(t *testing.T) {
	// An inner savepoint of another name is what a wrong match would find.
	to := func(outer, inner, back string) script {
		return script("Begin | +1 | !a | SAVEPOINT " + outer + " | +2 | !b | SAVEPOINT " + inner + " | +3 | !c | ROLLBACK TO " + back + " | Commit")
	}
	long := strings.Repeat("x", 63)
	var rows []row
	for _, c := range []struct{ outer, inner, back string }{
		{"s", "t", "S"},
		{`"s"`, "t", "s"},
		{`"S"`, "s", `"S"`},
		{`"a""b"`, `"a"`, `"a""b"`},
		{long + "yz", "t", long + "zzz"},
		{"é", "É", "é"},
		{`U&"\0073"`, "t", "s"},
		{`U&"!0073" UESCAPE '!'`, "t", "s"},
		{"s$1", "s", "S$1"},
		{"savepoint", "work", "SAVEPOINT savepoint"},
	} {
		rows = append(rows, kept(c.outer+", "+c.back, to(c.outer, c.inner, c.back), "1", "a", pg...))
	}
	for _, c := range []struct{ outer, inner, back string }{
		{"s", "t", "S"},
		{"'s'", "t", "[s]"},
		{"`s`", "t", `"S"`},
		{`"a""b"`, `"a"`, `"a""b"`},
		{long + "yz", long + "zz", long + "yz"},
		{"é", "É", "é"},
		{"s$1", "s", "S$1"},
	} {
		rows = append(rows, kept(c.outer+", "+c.back, to(c.outer, c.inner, c.back), "1", "a", lite...))
	}
	check(t, []way{byExec}, rows...)
}

// TestWordsThatControlNothing: what looks like control and is none.
func TestWordsThatControlNothing(t *testing.T) {
	check(t, []way{byExec},
		kept("a body in standard SQL", "Begin | +1 | !a | CREATE OR REPLACE PROCEDURE body() BEGIN ATOMIC INSERT INTO things (id) VALUES (9); END | !b | Commit", "1", "a b", pg...),
		kept("a body in standard SQL, rolled back", "Begin | +1 | !a | CREATE OR REPLACE PROCEDURE body() BEGIN ATOMIC INSERT INTO things (id) VALUES (9); END | !b | Rollback", "", "", pg...),
		kept("a body in standard SQL, no transaction", "CREATE OR REPLACE PROCEDURE body() BEGIN ATOMIC INSERT INTO things (id) VALUES (9); END | +1 | !a", "1", "a", pg...),
		kept("dollar quotes", "Begin | +1 | !a | INSERT INTO things (id, note) VALUES (2, $$; ROLLBACK; $$) | INSERT INTO things (id, note) VALUES (3, $x$; $$ ROLLBACK; $x$) | !b | Commit", "1 2 3", "a b", pg...),
		kept("escapes", `Begin | +1 | !a | INSERT INTO things (id, note) VALUES (2, E'\'; ROLLBACK; --') | !b | Commit`, "1 2", "a b", pg...),
		kept("backslashes", `Begin | +1 | !a | INSERT INTO things (id, note) VALUES (2, '\'); ROLLBACK; BEGIN | !b | Commit`, "", "b", pg...),
		kept("a trigger's body", "Begin | +1 | !a | CREATE TRIGGER IF NOT EXISTS body AFTER INSERT ON lines BEGIN INSERT INTO things (id) VALUES (9); END | !b | Commit", "1", "a b", lite...),
		kept("a trigger's body, no transaction", "CREATE TRIGGER IF NOT EXISTS body AFTER INSERT ON lines BEGIN INSERT INTO things (id) VALUES (9); END | +1 | !a", "1", "a", lite...),
		kept("CASE", "Begin | +1 | !a | UPDATE things SET note = CASE WHEN id = 1 THEN ';' ELSE 'COMMIT' END; SELECT 1 | Rollback", "", ""),
		kept("names", `Begin | +1 | !a | CREATE TEMPORARY TABLE "commit" (id int) | DROP TABLE "commit" | Rollback`, "", ""),
		kept("EXPLAIN", "Begin | +1 | !a | EXPLAIN SELECT 1 | Rollback", "", ""),
		kept("SET TRANSACTION", "BEGIN | SET TRANSACTION ISOLATION LEVEL SERIALIZABLE | +1 | !a | ROLLBACK", "", "", pg...),
		kept("SET TRANSACTION after an event", "BEGIN | !a | SET TRANSACTION ISOLATION LEVEL SERIALIZABLE | +1 | COMMIT", "1", "a", pg...),
		kept("PREPARE and EXECUTE", "BEGIN | PREPARE ins AS INSERT INTO things (id) VALUES (7) | !a | EXECUTE ins | !b | DEALLOCATE ins | COMMIT", "7", "a b", pg...),
	)
}
