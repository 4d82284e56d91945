// Package lexcheck asks PostgreSQL's own parser, compiled to WebAssembly in
// wasilibs/go-pgquery, what the driver's lexer should say of a few thousand
// statements.
//
// The two never meet in one process: the lexer is internal to the driver, and
// the parser takes seconds to start and 310 MB. So the parser's answers are
// kept in a file beside the lexer, driver/internal/lex/testdata/pgquery.jsonl.
// The lexer's tests compare it with them; the test here compares them with the
// parser. After a change of the corpus or of the parser's version, write them
// anew:
//
//	go test ./sqltest/dbtest/lexcheck -update
//
// The go command does not cache by files of another module: to compare again
// after changing the file alone, add -count=1.
//
// Another test compares the two over SQL that nobody wrote for this purpose, a
// sample of what some modules of the module cache hold, of which nothing is kept
// here. With AFTERCOMMIT_LONG=1 it takes all of it, which lasts minutes. They
// agree on every statement that the parser accepts; there is no list of
// exceptions.
package lexcheck
