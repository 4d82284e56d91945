package lexcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	pgquery "github.com/wasilibs/go-pgquery"
)

// fact is what the parser says of one statement, in the lexer's terms.
type fact struct {
	Kind      string      `json:"kind"`
	Name      string      `json:"name,omitempty"`
	Chain     bool        `json:"chain,omitempty"`
	Op        string      `json:"op,omitempty"`
	Tables    [][2]string `json:"tables,omitempty"` // schema, name
	On        *[2]string  `json:"on,omitempty"`
	Returning bool        `json:"returning,omitempty"`
	Partial   bool        `json:"partial,omitempty"`
	Temporary bool        `json:"temporary,omitempty"`
	Key       string      `json:"key,omitempty"` // $1, or =literal
	Also      []part      `json:"also,omitempty"`
}

// part is what a statement within another one writes to.
type part struct {
	Op    string    `json:"op"`
	Table [2]string `json:"table"`
	Key   string    `json:"key,omitempty"`
}

// hold adds what a statement within f writes to.
func (f *fact) hold(g fact) {
	switch {
	case g.Kind == "read":
		return
	case g.Kind != "write":
		f.Partial = true
	}
	if f.Kind == "read" {
		f.Kind = "write"
	}
	f.Also = append(f.Also, g.Also...)
	f.Partial = f.Partial || g.Partial
	for _, t := range g.Tables {
		f.Also = append(f.Also, part{g.Op, t, g.Key})
	}
}

// holdAll adds what the WITH clause of n writes to.
func (f *fact) holdAll(n tree) {
	for _, c := range n.at("withClause", "ctes").list() {
		f.hold(factOf(c.at("CommonTableExpr", "ctequery")))
	}
}

var errGivesUp = errors.New("the parser gives up")

// ask parses a query string. Where brackets are very deep, the parser runs out of
// stack and panics.
func ask(query string) (facts []fact, err error) {
	defer func() {
		if r := recover(); r != nil {
			facts, err = nil, fmt.Errorf("%w: %v", errGivesUp, r)
		}
	}()
	doc, err := pgquery.ParseToJSON(query)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(doc)))
	dec.UseNumber()
	var root any
	if err := dec.Decode(&root); err != nil {
		return nil, fmt.Errorf("decode the parse tree: %w", err)
	}
	for _, s := range (tree{root}).at("stmts").list() {
		facts = append(facts, factOf(s.at("stmt")))
	}
	return facts, nil
}

var transactionKinds = map[string]string{
	"TRANS_STMT_BEGIN": "begin", "TRANS_STMT_START": "begin", "TRANS_STMT_COMMIT": "commit",
	"TRANS_STMT_ROLLBACK": "rollback", "TRANS_STMT_SAVEPOINT": "savepoint", "TRANS_STMT_RELEASE": "release",
	"TRANS_STMT_ROLLBACK_TO": "rollback to", "TRANS_STMT_PREPARE": "prepare",
	"TRANS_STMT_COMMIT_PREPARED": "commit prepared", "TRANS_STMT_ROLLBACK_PREPARED": "rollback prepared",
}

// readers are the statements that keep nothing.
var readers = map[string]bool{
	"VariableSetStmt": true, "VariableShowStmt": true, "FetchStmt": true, "DeclareCursorStmt": true,
	"ClosePortalStmt": true, "ListenStmt": true, "UnlistenStmt": true, "NotifyStmt": true, "PrepareStmt": true,
	"DeallocateStmt": true, "LockStmt": true, "VacuumStmt": true, "CheckPointStmt": true, "LoadStmt": true,
	"RefreshMatViewStmt": true, "ClusterStmt": true, "ReindexStmt": true, "DiscardStmt": true,
	"ConstraintsSetStmt": true,
}

func factOf(stmt tree) fact {
	name, n := stmt.node()
	switch name {
	case "TransactionStmt":
		return fact{
			Kind:  transactionKinds[n.at("kind").text()],
			Name:  n.at("savepoint_name").text() + n.at("gid").text(),
			Chain: n.at("chain").isTrue(),
		}
	case "SelectStmt":
		return selectFact(n)
	case "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt":
		return writeFact(name, n)
	case "TruncateStmt":
		f := fact{Kind: "write", Op: "truncate", Partial: n.at("behavior").text() == "DROP_CASCADE"}
		for _, r := range n.at("relations").list() {
			f.Tables = append(f.Tables, *relation(r.at("RangeVar")))
		}
		return f
	case "CallStmt", "DoStmt", "ExecuteStmt":
		return fact{Kind: "opaque"}
	case "CopyStmt":
		if n.at("is_from").isTrue() {
			return fact{Kind: "write", Op: "insert", Tables: [][2]string{*relation(n.at("relation"))}}
		}
		f := fact{Kind: "read"}
		if n.at("query").there() {
			f.hold(factOf(n.at("query")))
		}
		return f
	case "ExplainStmt":
		return explainFact(n)
	}
	if readers[name] {
		return fact{Kind: "read"}
	}
	return schemaFact(name, n)
}

func explainFact(n tree) fact {
	f := fact{Kind: "read"}
	if !analyzes(n) {
		return f
	}
	switch g := factOf(n.at("query")); g.Kind {
	case "schema", "opaque":
		return g
	default:
		f.hold(g)
		return f
	}
}

func selectFact(n tree) fact {
	f := fact{Kind: "read"}
	into := n.at("intoClause")
	for left := n; !into.there() && left.at("larg").there(); left = left.at("larg") {
		into = left.at("larg", "intoClause") // of a UNION
	}
	if into.there() {
		rel := into.at("rel")
		f = fact{Kind: "schema", Tables: [][2]string{*relation(rel)}, Temporary: temporary(rel)}
	}
	f.holdAll(n)
	return f
}

func writeFact(name string, n tree) fact {
	f := fact{
		Kind:      "write",
		Op:        strings.ToLower(strings.TrimSuffix(name, "Stmt")),
		Tables:    [][2]string{*relation(n.at("relation"))},
		Returning: !n.at("returningList").empty(),
	}
	f.holdAll(n)
	switch {
	case name == "MergeStmt":
	case name != "InsertStmt":
		f.Key = whereKey(n)
	case n.at("onConflictClause", "action").text() == "ONCONFLICT_UPDATE":
		f.Op = "upsert"
		f.Key = insertKey(n)
		elems := n.at("onConflictClause", "infer", "indexElems").list()
		if len(elems) != 1 || elems[0].at("IndexElem", "name").text() != "id" {
			f.Key = ""
		}
	default:
		f.Key = insertKey(n)
	}
	return f
}

func relation(r tree) *[2]string {
	return &[2]string{r.at("schemaname").text(), r.at("relname").text()}
}

func analyzes(n tree) bool {
	on := false
	for _, o := range n.at("options").list() {
		if o.at("DefElem", "defname").text() != "analyze" {
			continue
		}
		arg := o.at("DefElem", "arg")
		switch v := strings.ToLower(arg.at("String", "sval").text()); {
		case v == "false" || v == "off":
			on = false
		case arg.at("Integer").there():
			on = arg.at("Integer", "ival").there() // 0 is left out
		default:
			on = true
		}
	}
	return on
}
