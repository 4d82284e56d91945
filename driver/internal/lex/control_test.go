package lex

import (
	"reflect"
	"testing"
)

var both = []Dialect{Postgres, SQLite}

func (d Dialect) String() string { return [...]string{"PostgreSQL", "SQLite"}[d] }

// one parses what must be one statement.
func one(t *testing.T, d Dialect, query string) Statement {
	t.Helper()
	sts := Parse(d, query, "id", nil)
	if len(sts) != 1 {
		t.Fatalf("%v: %q has %d statements, want 1", d, query, len(sts))
	}
	return sts[0]
}

var controls = []struct {
	query string
	on    []Dialect
	want  Statement
}{
	{"BEGIN", both, Statement{Kind: Begin}},
	{"begin work", both, Statement{Kind: Begin}},
	{"BEGIN TRANSACTION", both, Statement{Kind: Begin}},
	{"BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", both[:1], Statement{Kind: Begin}},
	{"BEGIN IMMEDIATE TRANSACTION", both[1:], Statement{Kind: Begin}},
	{"BEGIN EXCLUSIVE", both[1:], Statement{Kind: Begin}},
	{"BEGIN DEFERRED", both[1:], Statement{Kind: Begin}},
	{"START TRANSACTION READ ONLY", both[:1], Statement{Kind: Begin}},
	{"/* a */ -- b\n BEGIN -- c", both, Statement{Kind: Begin}},
	{"COMMIT", both, Statement{Kind: Commit}},
	{"END", both, Statement{Kind: Commit}},
	{"COMMIT TRANSACTION", both, Statement{Kind: Commit}},
	{"END WORK", both[:1], Statement{Kind: Commit}},
	{"COMMIT AND CHAIN", both[:1], Statement{Kind: Commit, Chain: true}},
	{"END WORK AND CHAIN", both[:1], Statement{Kind: Commit, Chain: true}},
	{"COMMIT AND NO CHAIN", both[:1], Statement{Kind: Commit}},
	{"ROLLBACK", both, Statement{Kind: Rollback}},
	{"ROLLBACK TRANSACTION", both, Statement{Kind: Rollback}},
	{"ROLLBACK TRANSACTION a", both[1:], Statement{Kind: Rollback}},
	{"ABORT", both[:1], Statement{Kind: Rollback}},
	{"ABORT WORK AND CHAIN", both[:1], Statement{Kind: Rollback, Chain: true}},
	{"ROLLBACK WORK AND CHAIN", both[:1], Statement{Kind: Rollback, Chain: true}},
	{"ROLLBACK AND NO CHAIN", both[:1], Statement{Kind: Rollback}},
	{"SAVEPOINT a", both, Statement{Kind: Savepoint, Name: "a"}},
	{"SAVEPOINT A", both, Statement{Kind: Savepoint, Name: "a"}},
	{`SAVEPOINT "A"`, both[:1], Statement{Kind: Savepoint, Name: "A"}},
	{`SAVEPOINT "A"`, both[1:], Statement{Kind: Savepoint, Name: "a"}},
	{`SAVEPOINT "a""b"`, both, Statement{Kind: Savepoint, Name: `a"b`}},
	{"SAVEPOINT [A b]", both[1:], Statement{Kind: Savepoint, Name: "a b"}},
	{"SAVEPOINT `A``b`", both[1:], Statement{Kind: Savepoint, Name: "a`b"}},
	{"SAVEPOINT 'A'", both[1:], Statement{Kind: Savepoint, Name: "a"}},
	{`SAVEPOINT U&"d\0061t\+000061"`, both[:1], Statement{Kind: Savepoint, Name: "data"}},
	{`SAVEPOINT U&"d!0061ta" UESCAPE '!'`, both[:1], Statement{Kind: Savepoint, Name: "data"}},
	{"SAVEPOINT savepoint", both, Statement{Kind: Savepoint, Name: "savepoint"}},
	{"RELEASE a", both, Statement{Kind: Release, Name: "a"}},
	{"RELEASE SAVEPOINT A", both, Statement{Kind: Release, Name: "a"}},
	{"RELEASE savepoint", both[:1], Statement{Kind: Release, Name: "savepoint"}},
	{"RELEASE SAVEPOINT savepoint", both, Statement{Kind: Release, Name: "savepoint"}},
	{"ROLLBACK TO a", both, Statement{Kind: RollbackTo, Name: "a"}},
	{"ROLLBACK TO SAVEPOINT A", both, Statement{Kind: RollbackTo, Name: "a"}},
	{"ROLLBACK WORK TO a", both[:1], Statement{Kind: RollbackTo, Name: "a"}},
	{"ROLLBACK TRANSACTION TO SAVEPOINT a", both, Statement{Kind: RollbackTo, Name: "a"}},
	{"ROLLBACK TRANSACTION x TO a", both[1:], Statement{Kind: RollbackTo, Name: "a"}},
	{"PREPARE TRANSACTION 'g''1'", both[:1], Statement{Kind: Prepare, Name: "g'1"}},
	{"PREPARE TRANSACTION $$g$$", both[:1], Statement{Kind: Prepare, Name: "g"}},
	{"COMMIT PREPARED 'g'", both[:1], Statement{Kind: CommitPrepared, Name: "g", NoBlock: true}},
	{"ROLLBACK PREPARED 'g'", both[:1], Statement{Kind: RollbackPrepared, Name: "g", NoBlock: true}},

	{"SET TRANSACTION READ ONLY", both[:1], Statement{Restricts: true, Lead: LeadFirst}},
	{"SET LOCAL \"transaction_read_only\" TO on", both[:1], Statement{Restricts: true, Lead: LeadFirst}},
	{"SET application_name = transactions", both[:1], Statement{Lead: LeadPlain}},
	{"PRAGMA main.query_only = 1", both[1:], Statement{NoBlock: true, Restricts: true}},
	{"PREPARE transaction AS SELECT 1", both[:1], Statement{}},
	{"PREPARE a AS DELETE FROM t", both[:1], Statement{}},
	{"EXPLAIN COMMIT", both[1:], Statement{}},
	{"START", both[:1], Statement{Kind: Opaque, Verb: "START"}},
	{"ABORT", both[1:], Statement{Kind: Opaque, Verb: "ABORT"}},
	{"START TRANSACTION", both[1:], Statement{Kind: Opaque, Verb: "START"}},
	{`"commit"`, both, Statement{Kind: Opaque}},
	{"commits", both, Statement{Kind: Opaque, Verb: "COMMITS"}},
}

func TestTransactionControl(t *testing.T) {
	for _, c := range controls {
		for _, d := range c.on {
			if got := one(t, d, c.query); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v: %s\n got %+v\nwant %+v", d, c.query, got, c.want)
			}
		}
	}
}
