package pocketbase_test

import (
	"archive/zip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pocketbase/pocketbase/core"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// superuser makes one, as "pocketbase superuser upsert" does.
func (a *app) superuser() {
	a.Helper()
	collection, err := a.FindCollectionByNameOrId(core.CollectionNameSuperusers)
	a.must(err)
	r := core.NewRecord(collection)
	r.Id = "root00000000000"
	r.SetEmail("root@example.com")
	r.SetPassword(password)
	a.must(a.Save(r))
}

// send sends the request of a step. It returns the answer without what differs from run to run.
func (a *app) send(s step) string {
	a.Helper()
	status, text := a.do(s.as, s.method, s.path, s.body)
	if status != s.status {
		a.Errorf("%s %s by %q on %s: status %d, want %d: %s", s.method, s.path, s.as, a.driver, status, s.status, text)
	}
	if body, ok := s.body.(object); ok && strings.HasSuffix(s.path, "/auth-with-password") && status == s.status {
		var answer struct{ Token string }
		a.must(json.Unmarshal([]byte(text), &answer))
		as, _, _ := strings.Cut(body["identity"].(string), "@")
		a.tokens[as] = answer.Token
	}
	return constant(text)
}

// What differs from run to run.
var (
	times  = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z`)
	secret = regexp.MustCompile(`"(token|secret)":\s*"[^"]*"`)
	cloned = regexp.MustCompile(`_clone_\w{4}`)
)

func constant(text string) string {
	text = secret.ReplaceAllString(times.ReplaceAllString(text, "TIME"), `"$1":"SECRET"`)
	return cloned.ReplaceAllString(text, "_clone_")
}

// actor is whom the trail names for a step.
func (s step) actor() string {
	switch s.as {
	case "":
		return string(hooks.Anonymous)
	case "root":
		return "admin:root00000000000"
	}
	return "user:" + s.as + "00000000000"
}

func TestPocketBase(t *testing.T) {
	plain, a := start(t, bare), start(t, audited)
	r := newReplay(a)
	plain.superuser()
	a.superuser()
	r.check("a superuser", "system:pocketbase")
	both := func(s step) {
		t.Helper()
		want, got := plain.send(s), a.send(s)
		if got != want {
			t.Errorf("%s %s by %q answers\n%s\nand on the bare driver\n%s", s.method, s.path, s.as, got, want)
		}
		r.check(s.method+" "+s.path, s.actor())
	}
	for _, s := range slices.Concat([]step{login("root", "_superusers")}, schemaSteps(), recordSteps(), changeSteps()) {
		both(s)
	}
	a.backUp(r)
	// Another version of the app, with a migration.
	core.AppMigrations.Register(migrate, nil, "1900000000_works.go")
	t.Cleanup(func() { core.AppMigrations = core.MigrationsList{} })
	for _, app := range []*app{plain, a} {
		app.stop()
		app.serve()
		app.must(app.Vacuum())
	}
	r.check("the migration", "system:pocketbase")
	before, from := a.content(), len(r.made)
	for _, s := range lastSteps() {
		both(s)
	}
	want, got := plain.constantContent(), a.constantContent()
	for name := range want {
		if !slices.Equal(want[name], got[name]) {
			t.Errorf("%s has\n%s\nand on the bare driver\n%s", name, strings.Join(got[name], "\n"), strings.Join(want[name], "\n"))
		}
	}
	r.undo(r.made[from:])
	after := a.content()
	for name, t := range before {
		if !reflect.DeepEqual(after[name], t) {
			a.Errorf("after the undo %s has %v, and it had %v", name, after[name], t)
		}
	}
	for _, w := range warnings.All() {
		t.Errorf("it was logged: %s %v", w.Message, w.ContextMap())
	}
}

// migrate is a migration as users of PocketBase write them.
func migrate(app core.App) error {
	works, err := app.FindCollectionByNameOrId("works")
	if err != nil {
		return err
	}
	works.Fields.RemoveByName("note")
	works.Fields.Add(&core.TextField{Name: "shelf"})
	if err = app.Save(works); err != nil {
		return err
	}
	list, err := app.FindAllRecords(works)
	if err != nil {
		return err
	}
	for _, r := range list {
		r.Set("shelf", "A1")
		if err = app.Save(r); err != nil {
			return err
		}
	}
	return nil
}

// backUp makes a backup, and compares the rows and the number of changes in it with those here.
func (a *app) backUp(r *replay) {
	a.Helper()
	if status, text := a.do("root", "POST", "/backups", object{"name": "one.zip"}); status != http.StatusNoContent {
		a.Fatalf("the backup: %d %s", status, text)
	}
	zipped, err := zip.OpenReader(filepath.Join(a.dir, core.LocalBackupsDirName, "one.zip"))
	a.must(err)
	defer zipped.Close()
	file, err := zipped.Open("data.db")
	a.must(err)
	data, err := io.ReadAll(file)
	a.must(err)
	dir := a.TempDir()
	a.must(os.WriteFile(filepath.Join(dir, "data.db"), data, 0o600))
	backup := &app{T: a.T, db: open(a.T, dir)}
	for name, t := range backup.content() {
		if !reflect.DeepEqual(t, r.tables[name]) {
			a.Errorf("in the backup %s has %v, and the changes lead to %v", name, t, r.tables[name])
		}
	}
	again := &replay{app: backup, store: changes.NewStore(backup.db, hooks.SQLite, nil)}
	if n := len(again.read()); n != r.count {
		a.Errorf("the backup has %d changes, want %d", n, r.count)
	}
}
