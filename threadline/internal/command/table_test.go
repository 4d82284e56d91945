package command

import (
	"reflect"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestTable: what is written is read back, whatever of a table is set.
func TestTable(t *testing.T) {
	for arg, want := range map[string]capture.Table{
		"orders":                         {Name: "orders"},
		"shop.orders:bulk":               {Name: "shop.orders", Bulk: true},
		`"Or ders":mask=card`:            {Name: `"Or ders"`, Mask: []string{"card"}},
		"a:key=b,c:mask=d:hash=e,f:bulk": {Name: "a", Key: []string{"b", "c"}, Mask: []string{"d"}, Hash: []string{"e", "f"}, Bulk: true},
		"a:exclude=b":                    {Name: "a", Exclude: []string{"b"}},
	} {
		if got := table(want); got != arg {
			t.Errorf("%+v is written %s, want %s", want, got, arg)
		}
		if got, err := ParseTable(arg); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v, %v", arg, got, err)
		}
	}
	for arg, want := range map[string]string{
		"orders:":       "",
		"orders:mask":   "comes mask=",
		"orders:mask=,": "comes mask=",
		"orders:a=b":    `"a" is none of`,
	} {
		if _, err := ParseTable(arg); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", arg, err, want)
		}
	}
}

// TestApply: names that an argument would divide are in a file, and a shell divides none.
func TestApply(t *testing.T) {
	for want, of := range map[string]capture.Table{
		"threadline triggers apply orders:mask=card --execute":                                                              {Name: "orders", Mask: []string{"card"}},
		`threadline triggers apply '"it'\''s"' --execute`:                                                                   {Name: `"it's"`},
		`threadline triggers apply --file FILE --execute, with this in FILE: {"tables":[{"name":"orders","mask":["a,b"]}]}`: {Name: "orders", Mask: []string{"a,b"}},
		`threadline triggers apply --file FILE --execute, with this in FILE: {"tables":[{"name":"\"a:b\"","bulk":true}]}`:   {Name: `"a:b"`, Bulk: true},
	} {
		if got := Apply(of); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
