package changes_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestInherited: a plan warns of children by inheritance that are not captured, also of those of children, since what is written to their
// rows through the parent is not. Once they are captured, it is.
func TestInherited(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE p (id int PRIMARY KEY, v text)", "CREATE TABLE c (PRIMARY KEY (id)) INHERITS (p)", `CREATE TABLE "the ""grandchild""" (PRIMARY KEY (id)) INHERITS (c)`, "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY LIST (id)", "CREATE TABLE part PARTITION OF parts DEFAULT")
		warned := func(want string, tables ...capture.Table) {
			t.Helper()
			plan := w.capture(tables...)
			if i := slices.IndexFunc(plan.Warnings, func(s string) bool { return strings.Contains(s, "inherit from it") }); i < 0 && want != "" || i >= 0 && !strings.Contains(plan.Warnings[i], ": these inherit from it: "+want+": ") {
				t.Errorf("the warnings are %q, want %q", plan.Warnings, want)
			}
		}
		names := []capture.Table{{Name: "p"}, {Name: "c"}, {Name: `"the ""grandchild"""`}, {Name: "parts"}}
		warned(`"public"."c", "public"."the ""grandchild"""`, names[0], names[3])
		warned(`"public"."the ""grandchild"""`, names[1])
		warned("", names[2])
		warned("", names...)
		w.exec(`INSERT INTO c VALUES (1, 'a')`, `INSERT INTO "the ""grandchild""" VALUES (2, 'a')`, "UPDATE p SET v = 'b'", "DELETE FROM p WHERE id = 1")
		w.wantStory("insert id: NULL → 1; v: NULL → a;\nupdate v: a → b;\ndelete id: 1 → NULL; v: b → NULL;", "c", "1")
		w.wantStory("insert id: NULL → 2; v: NULL → a;\nupdate v: a → b;", names[2].Name, "2")
		w.wantStory("", "p", "1")
	})
}
