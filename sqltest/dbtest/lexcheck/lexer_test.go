package lexcheck

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const lexer = "github.com/go-aftercommit/aftercommit/driver/internal/lex"

// askLexer returns what the driver's lexer says of the queries. It is internal
// to the driver, so its test program is asked.
func askLexer(t *testing.T, queries []string) [][]fact {
	t.Helper()
	program := filepath.Join(t.TempDir(), "lex.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, lexer).CombinedOutput(); err != nil {
		t.Fatalf("build the lexer's tests: %v\n%s", err, out)
	}
	var in, diagnosis bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, q := range queries {
		if err := enc.Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), "AFTERCOMMIT_LEX=answer")
	cmd.Stdin, cmd.Stderr = &in, &diagnosis
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ask the lexer: %v\n%s", err, diagnosis.Bytes())
	}
	all := make([][]fact, len(queries))
	dec := json.NewDecoder(bytes.NewReader(out))
	for i := range all {
		if err := dec.Decode(&all[i]); err != nil {
			t.Fatalf("the lexer's answer to %q: %v", queries[i], err)
		}
	}
	return all
}
