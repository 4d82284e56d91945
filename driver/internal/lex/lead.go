package lex

// Lead is for the statements that PostgreSQL executes without a snapshot
// (PlannedStmtRequiresSnapshot in its pquery.c), so that what follows them may still
// be the first query of the transaction.
type Lead uint8

// The kinds of leads.
const (
	NoLead    Lead = iota
	LeadPlain      // SET, RESET, NOTIFY …
	// LeadFirst is for what a query before it makes fail, or weaker: SET TRANSACTION,
	// SET transaction_isolation, and LOCK, after which a REPEATABLE READ transaction
	// sees what others have committed until then.
	LeadFirst
	// LeadStays is for what cannot be executed on its own: it has rows, or the
	// server would read what is behind it otherwise if it came in another message.
	LeadStays
)

// leadOfSet is the lead of a SET or RESET, of which the name is next.
func (p *parser) leadOfSet() Lead {
	if p.tok.form == 'U' || p.atAny("NAMES", "ALL") {
		return LeadStays
	}
	for _, setting := range readingSettings {
		if p.names(setting) {
			return LeadStays
		}
	}
	if p.at("TRANSACTION") {
		return LeadFirst
	}
	for _, setting := range transactionSettings {
		if p.names(setting) {
			return LeadFirst
		}
	}
	return LeadPlain
}

var (
	readingSettings     = []string{"standard_conforming_strings", "client_encoding", "backslash_quote"}
	transactionSettings = []string{"transaction_isolation", readOnlySetting, "transaction_deferrable"}
)
