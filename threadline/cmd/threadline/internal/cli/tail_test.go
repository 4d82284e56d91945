package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestTail shows the last, the newest last.
func TestTail(t *testing.T) {
	w := newWorld(t)
	lines := strings.Split(strings.TrimSpace(w.want(exitOK, "tail", "table:orders", "-n", "2")), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "user:bob") || !strings.Contains(lines[1], "total: 12.50 → 0.00") {
		t.Errorf("the last two: %q", lines)
	}
	wantIn(t, w.want(exitOK, "show", strings.Fields(lines[1])[2]), "total: 12.50 → 0.00")
	wantIn(t, w.want(exitOK, "tail", "table:orders", "actor:carol"), "Nothing matches.")
	for _, args := range [][]string{{"-n", "0"}, {"-f", "before:1d"}, {"--every", "0s"}, {"actor:"}} {
		w.want(exitUsage, append([]string{"tail"}, args...)...)
	}
}

// TestTailFollows: what commits is shown once, in order, also what was written before something that was seen earlier, and changes
// that look alike as often as there are. To interrupt it is no error.
func TestTailFollows(t *testing.T) {
	w := newWorld(t)
	bare := dbtest.Open(t, "postgres", w.dsn)
	w.exec(bare, "CREATE TABLE marks (a text)")
	w.want(exitOK, "triggers", "apply", "marks", "--execute")
	running, stop := context.WithCancel(ctx)
	defer stop()
	out, in := io.Pipe()
	var said bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- Run(running, []string{"tail", "-f", "--json", "--every", "10ms", "--late", "1us", "-n", "1"}, strings.NewReader(""), in, &said)
		in.Close()
	}()
	lines := bufio.NewScanner(out)
	next := func(want string) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("it ended before %s: %s", want, said.String())
		}
		var item struct {
			Change struct {
				Fields []struct{ Name, Type string }
				Key    []string
				Op     string
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
			t.Fatal(err)
		}
		got := item.Change.Op + " " + strings.Join(item.Change.Key, ",")
		for _, f := range item.Change.Fields {
			got += " " + f.Name
		}
		if got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	next("update 42 total card") // the last one

	slow, err := bare.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Rollback()
	if _, err = slow.ExecContext(ctx, "UPDATE orders SET status = 'slow' WHERE id = 41"); err != nil {
		t.Fatal(err)
	}
	w.exec(bare, "UPDATE orders SET total = 1 WHERE id = 42")
	next("update 42 total")
	if err = slow.Commit(); err != nil {
		t.Fatal(err)
	}
	next("update 41 status")
	w.exec(bare, "BEGIN; INSERT INTO marks VALUES ('x'), ('x'); COMMIT")
	next("insert  a")
	next("insert  a")
	w.exec(bare, "DELETE FROM orders WHERE id = 41")
	next("delete 41 id status total card")
	stop()
	if lines.Scan() {
		t.Errorf("more: %s", lines.Text())
	}
	if code := <-ended; code != exitOK || said.Len() > 0 {
		t.Errorf("it ended with %d: %s", code, said.String())
	}
}
