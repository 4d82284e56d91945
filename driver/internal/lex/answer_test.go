package lex

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
)

// TestMain lets sqltest/dbtest/lexcheck ask Parse about queries that are not
// kept here: with AFTERCOMMIT_LEX=answer in the environment, the test program
// reads JSON strings and writes for each what Parse says of it.
func TestMain(m *testing.M) {
	if os.Getenv("AFTERCOMMIT_LEX") != "answer" {
		os.Exit(m.Run())
	}
	if err := answer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	all := fact{Tables: [][2]string{}, On: &[2]string{}}
	for {
		var query string
		if err := dec.Decode(&query); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		facts := []fact{}
		for _, st := range Parse(Postgres, query, "id", nil) {
			facts = append(facts, factOf(st, all))
		}
		if err := enc.Encode(facts); err != nil {
			return err
		}
	}
}
