package driver

import "github.com/go-aftercommit/aftercommit/driver/internal/lex"

func boring(stmts []lex.Statement) bool {
	for i := range stmts {
		if stmts[i].Kind != lex.Read {
			return false
		}
	}
	return true
}

// restricts reports whether the transaction may be read-only after stmts: also
// by a BEGIN READ ONLY inside it, at which PostgreSQL only warns.
func restricts(stmts []lex.Statement) bool {
	for i := range stmts {
		if stmts[i].Restricts || stmts[i].Kind == lex.Begin {
			return true
		}
	}
	return false
}

func controls(stmts []lex.Statement) bool {
	for i := range stmts {
		if isControl(stmts[i].Kind) {
			return true
		}
	}
	return false
}

func isControl(k lex.Kind) bool { return k >= lex.Begin && k <= lex.RollbackPrepared }

func countWrites(stmts []lex.Statement) int {
	n := 0
	for i := range stmts {
		switch stmts[i].Kind {
		case lex.Write, lex.Schema, lex.Opaque:
			n++
		}
	}
	return n
}
