package lex

import (
	"bufio"
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"testing"
)

// fact is what PostgreSQL's parser says of a statement; sqltest/dbtest/lexcheck
// writes them.
type fact struct {
	Kind      string      `json:"kind,omitempty"`
	Name      string      `json:"name,omitempty"`
	Chain     bool        `json:"chain,omitempty"`
	Op        string      `json:"op,omitempty"`
	Tables    [][2]string `json:"tables,omitempty"`
	On        *[2]string  `json:"on,omitempty"`
	Returning bool        `json:"returning,omitempty"`
	Partial   bool        `json:"partial,omitempty"`
	Temporary bool        `json:"temporary,omitempty"`
	Key       string      `json:"key,omitempty"`
	Also      []part      `json:"also,omitempty"`
}

// part is what a statement within another one writes to.
type part struct {
	Op    string    `json:"op"`
	Table [2]string `json:"table"`
	Key   string    `json:"key,omitempty"`
}

var kindNames = [...]string{
	Read: "read", Begin: "begin", Commit: "commit", Rollback: "rollback", Savepoint: "savepoint",
	Release: "release", RollbackTo: "rollback to", Prepare: "prepare", CommitPrepared: "commit prepared",
	RollbackPrepared: "rollback prepared", Write: "write", Schema: "schema", Opaque: "opaque",
}

var opNames = [...]string{Insert: "insert", Update: "update", Delete: "delete", Upsert: "upsert", Truncate: "truncate", Merge: "merge"}

// factOf puts a statement as the parser's answers have it. They name the tables
// of some schema statements only; the others are not compared.
func factOf(st Statement, like fact) fact {
	f := fact{
		Kind: kindNames[st.Kind], Name: st.Name, Chain: st.Chain, Returning: st.Returning,
		Partial: st.Partial, Temporary: st.Temporary,
	}
	if st.Kind == Write && len(st.Tables) > 0 {
		f.Op = opNames[st.Op]
	}
	for _, t := range st.Also {
		f.Also = append(f.Also, part{opNames[t.Op], [2]string{t.Schema, t.Name}, keyText(t.Key)})
	}
	if st.Kind == Write || like.Tables != nil {
		for _, t := range st.Tables {
			f.Tables = append(f.Tables, [2]string{t.Schema, t.Name})
		}
	}
	if st.On != (Table{}) && like.On != nil {
		f.On = &[2]string{st.On.Schema, st.On.Name}
	}
	f.Key = keyText(st.Key)
	return f
}

func keyText(k Key) string {
	switch {
	case k.Param > 0:
		return "$" + strconv.Itoa(k.Param)
	case k.Found:
		return "=" + k.Literal
	default:
		return ""
	}
}

// differences are the queries that Parse sees otherwise than the server, and
// why that is right, or good enough.
var differences = map[string]string{
	"INSERT INTO t (id) VALUES (($1))": "a value in brackets of its own is not plain",
}

func TestAgreesWithTheServersParser(t *testing.T) {
	file, err := os.Open("testdata/pgquery.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seen := 0
	for lines := bufio.NewScanner(file); lines.Scan(); seen++ {
		var answer struct {
			Query      string
			Statements []fact
		}
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		sts := Parse(Postgres, answer.Query, "id", nil)
		var got []fact
		for i, st := range sts {
			like := fact{}
			if i < len(answer.Statements) {
				like = answer.Statements[i]
			}
			got = append(got, factOf(st, like))
		}
		why, listed := differences[answer.Query]
		switch same := reflect.DeepEqual(got, answer.Statements); {
		case same && listed:
			t.Errorf("%s\nis listed as a difference (%s), and is none", answer.Query, why)
		case !same && !listed:
			t.Errorf("%s\nParse says    %s\nthe server    %s", answer.Query, show(got), show(answer.Statements))
		}
	}
	if seen < 1000 {
		t.Errorf("only %d answers", seen)
	}
}

func show(v any) string {
	doc, _ := json.Marshal(v)
	return string(doc)
}
