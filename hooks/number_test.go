package hooks_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Numbers are kept as PostgreSQL's numeric prints them, so that each store
// returns the same; what would be endless is refused.
func TestNumbersAreWrittenOut(t *testing.T) {
	const refusedNumber = ""
	for given, want := range map[string]string{
		"0": "0", "-0": "0", "-0.0": "0.0", "0.00": "0.00", "-0e5": "0", "0e99999999999999999999": "0",
		"1": "1", "-12.50": "-12.50", "1.0": "1.0",
		"123456789012345678901234567": "123456789012345678901234567",
		"1e2":                         "100", "1E+2": "100", "1.50e1": "15.0", "1.5e1": "15", "1.5e3": "1500", "-1.25e2": "-125",
		"1e-2": "0.01", "-2.50e-1": "-0.250", "100e-2": "1.00", "0.001e2": "0.1", "0.05e1": "0.5", "0.05e2": "5",
		"1e400":                  "1" + strings.Repeat("0", 400),
		"1e8192":                 refusedNumber,
		"1e-8192":                refusedNumber,
		"1e131071":               refusedNumber,
		"1e99999999999999999999": refusedNumber, "-1e-99999999999999999999": refusedNumber,
	} {
		e := valid()
		e.Metadata = map[string]any{"n": []any{json.Number(given)}}
		e, err := hooks.Prepare(e)
		if want == refusedNumber {
			refused(t, given, err, "metadata.n[0]", "digits")
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if got := e.Metadata["n"].([]any)[0]; got != json.Number(want) {
			t.Errorf("%s became %v, want %s", given, got, want)
		}
	}
	e := valid()
	e.Metadata = map[string]any{"a": json.Number("1e5000"), "b": json.Number("1e5000")}
	refused(t, "two long ones", hooks.Validate(e), "metadata", "the limit is 8192")
}
