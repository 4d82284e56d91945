package changes_test

import (
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// liteShell executes a script as a person does, or as the app does where there is no shell.
func (w *world) liteShell(script string) {
	w.Helper()
	path, err := exec.LookPath("sqlite3")
	if err != nil {
		w.exec(strings.ReplaceAll(script, ".bail on\n", ""))
		return
	}
	file, err := url.Parse(w.dsn)
	w.must(err)
	shell := exec.CommandContext(ctx, path, file.Path)
	shell.Stdin = strings.NewReader(script)
	if out, err := shell.CombinedOutput(); err != nil || len(out) > 0 {
		w.Fatalf("sqlite3: %v\n%s\nof\n%q", err, out, script)
	}
}

// TestSQLiteUndoScript: the shell gives texts back to the byte, also such as it reads otherwise: before an LF it drops a CR.
func TestSQLiteUndoScript(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
	w.capture(capture.Table{Name: "t"})
	texts := []string{"line\r\nline", "\r\n", "\r", "\r\r\n", "\n.quit\n", "x\n.bail off\r\n", "\n;\n/\ngo\n", "\n#\n", "''\r\n'--", "x\x00\r\ny", "\xff\r\n", "a\tb\vc\x1a\x7f\n\n \n"}
	for id, text := range texts {
		_, err := w.db.ExecContext(ctx, "INSERT INTO t VALUES (?, ?)", 2*id, text)
		w.must(err)
		_, err = w.db.ExecContext(ctx, "INSERT INTO t VALUES (?, ?)", 2*id+1, text)
		w.must(err)
	}
	before := w.liteContent("t")
	w.liteInOne(1, "DELETE FROM t WHERE id % 2 = 0", "UPDATE t SET v = 'x' || v")
	after := w.liteContent("t")
	u := w.liteUndo(1)
	w.clean(u)
	script := u.String()
	if strings.Contains(script, "\r") {
		t.Errorf("the script has a CR: %q", script)
	}
	w.liteShell(strings.Replace(script, "BEGIN IMMEDIATE;\n", "BEGIN IMMEDIATE;\nUPDATE aftercommit_transaction SET tx_id = 2;\n", 1) + "UPDATE aftercommit_transaction SET tx_id = NULL;\n")
	if got := w.liteContent("t"); got != before {
		t.Errorf("it leads to\n%s\nand not to\n%s", got, before)
	}
	u = w.liteUndo(2) // what the conditions compare, too
	w.clean(u)
	w.liteShell(u.String())
	if got := w.liteContent("t"); got != after {
		t.Errorf("back is\n%s\nand not\n%s", got, after)
	}
}
