package lexcheck

import (
	"bytes"
	"encoding/json"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// sqlIn returns the SQL that the files of a folder hold: .sql files, and the
// string literals of Go and JSON files that begin as a statement does.
func sqlIn(dir string) ([]string, error) {
	var texts []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		read := extracts[path.Ext(name)]
		if read == nil {
			return nil
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, text := range read(b) {
			if utf8.ValidString(text) && !strings.Contains(text, "\x00") {
				texts = append(texts, text)
			}
		}
		return nil
	})
	return texts, err
}

var extracts = map[string]func([]byte) []string{".sql": fromSQL, ".go": fromGo, ".json": fromJSON}

// fromSQL leaves out the commands of psql.
func fromSQL(b []byte) []string {
	var text strings.Builder
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, `\`) {
			text.WriteString(line)
		}
	}
	return []string{text.String()}
}

func fromGo(b []byte) (texts []string) {
	var s scanner.Scanner
	files := token.NewFileSet()
	s.Init(files.AddFile("", -1, len(b)), b, nil, 0)
	for {
		_, tok, lit := s.Scan()
		if tok == token.EOF {
			return texts
		}
		if tok != token.STRING {
			continue
		}
		if text, err := strconv.Unquote(lit); err == nil && begins(text) {
			texts = append(texts, text)
		}
	}
}

func fromJSON(b []byte) (texts []string) {
	var doc any
	if json.NewDecoder(bytes.NewReader(b)).Decode(&doc) != nil {
		return nil
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if begins(v) {
				texts = append(texts, v)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(doc)
	return texts
}

// begins reports whether text may be a statement: it has a keyword first, and
// something behind it.
func begins(text string) bool {
	rest := strings.TrimLeft(text, "( \t\r\n")
	for strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "/*") {
		end := "\n"
		if rest[0] == '/' {
			end = "*/"
		}
		_, after, ok := strings.Cut(rest, end)
		if !ok {
			return false
		}
		rest = strings.TrimLeft(after, "( \t\r\n")
	}
	n := strings.IndexFunc(rest, func(r rune) bool { return (r|0x20) < 'a' || (r|0x20) > 'z' })
	if n < 0 {
		n = len(rest)
	}
	return keywords[strings.ToUpper(rest[:n])]
}

var keywords = func() map[string]bool {
	m := make(map[string]bool)
	for _, k := range strings.Fields("ABORT ALTER ANALYZE BEGIN CALL CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE " +
		"DELETE DISCARD DO DROP END EXECUTE EXPLAIN FETCH GRANT IMPORT INSERT LISTEN LOCK MERGE MOVE NOTIFY PREPARE REASSIGN " +
		"REFRESH REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT SECURITY SELECT SET SHOW START TABLE TRUNCATE UNLISTEN " +
		"UPDATE VACUUM VALUES WITH") {
		m[k] = true
	}
	return m
}()

// pieces cuts a text where a line ends in a semicolon: right for most texts, and
// where it is not, the parser refuses the piece.
func pieces(text string) []string {
	var all []string
	for piece := range strings.SplitAfterSeq(strings.ReplaceAll(text, "\r\n", "\n"), ";\n") {
		if strings.TrimSpace(piece) != "" {
			all = append(all, piece)
		}
	}
	return all
}
