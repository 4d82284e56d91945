package lexcheck

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the parser's answers anew")

// answers is the file that the lexer's tests read.
var answers = filepath.FromSlash("../../../driver/internal/lex/testdata/pgquery.jsonl")

// answer is a line of it.
type answer struct {
	Query      string `json:"query"`
	Statements []fact `json:"statements"`
}

func TestAnswersAreTheParsers(t *testing.T) {
	var now bytes.Buffer
	enc := json.NewEncoder(&now)
	enc.SetEscapeHTML(false)
	for _, q := range corpus() {
		facts, err := ask(q)
		if err != nil {
			t.Errorf("the parser refuses %s: %v", q, err)
			continue
		}
		if err := enc.Encode(answer{q, facts}); err != nil {
			t.Fatal(err)
		}
	}
	if t.Failed() {
		return
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(answers), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(answers, now.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	kept, err := os.ReadFile(answers)
	if err != nil {
		t.Fatalf("%v: run this test with -update", err)
	}
	a, b := bufio.NewScanner(&now), bufio.NewScanner(bytes.NewReader(kept))
	for line := 1; ; line++ {
		moreA, moreB := a.Scan(), b.Scan()
		if !moreA && !moreB {
			return
		}
		if a.Text() != b.Text() {
			t.Fatalf("line %d: the parser says\n%s\nthe file says\n%s\nrun this test with -update and look at the difference",
				line, a.Text(), b.Text())
		}
	}
}
