package lex

// Split cuts a query into its statements, each with the comments before it and
// its semicolon: as many as [Parse] finds, of which empty ones are none. Together
// they are the query, but for what comes after the last one.
func Split(d Dialect, query string) []string {
	p := newParser(d, query, "")
	query = p.scan.src
	var parts []string
	for start := 0; p.open(); start = p.scan.pos {
		p.statement()
		p.close()
		parts = append(parts, query[start:p.scan.pos])
	}
	return parts
}
