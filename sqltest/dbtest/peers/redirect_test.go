package peers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// redirect makes the tests of the module copied into dir use the wrapped driver.
// They open databases in two ways: by name, which the wrapped driver takes from
// the bare one, and with sql.OpenDB, whose calls are rewritten.
func (p peer) redirect(dir string) error {
	for _, e := range p.edits {
		if err := e.apply(dir); err != nil {
			return err
		}
	}
	if err := p.addAudited(dir); err != nil {
		return err
	}
	for _, pkg := range p.packages {
		if err := changeFiles(filepath.Join(dir, pkg, "*.go"), p.redirectFile); err != nil {
			return err
		}
		if err := p.importAudited(filepath.Join(dir, pkg)); err != nil {
			return err
		}
	}
	return nil
}

func (e edit) apply(dir string) error {
	file := filepath.Join(dir, e.file)
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, after, ok := strings.Cut(string(b), e.old)
	if !ok {
		return fmt.Errorf("%s does not hold %q: adapt the edits to this version of the peer", e.file, e.old)
	}
	return os.WriteFile(file, []byte(before+e.new+after), 0o644)
}

// audited is the import path of the package that takes the driver's place.
func (p peer) audited() string { return p.module + "/internal/audited" }

func (p peer) addAudited(dir string) error {
	text, err := os.ReadFile(filepath.Join("testdata", "audited.go.txt"))
	if err != nil {
		return err
	}
	folder := filepath.Join(dir, "internal", "audited")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	names := fmt.Sprintf("%q", p.drivers)
	names = strings.ReplaceAll(strings.Trim(names, "[]"), " ", ", ")
	source := strings.Replace(string(text), "NAMES", names, 1)
	return os.WriteFile(filepath.Join(folder, "audited.go"), []byte(source), 0o644)
}

var (
	packageClause = regexp.MustCompile(`(?m)^package (\w+)$`)
	opensDB       = regexp.MustCompile(`\bsql\.OpenDB\(`)
	assertsConn   = regexp.MustCompile(`\bdriverConn\.\(`)
)

// redirectFile gives calls of sql.OpenDB, and the argument of sql.Conn.Raw, to
// audited.
func (p peer) redirectFile(text string) string {
	changed := opensDB.ReplaceAllString(text, "audited.OpenDB(")
	changed = assertsConn.ReplaceAllString(changed, "audited.Raw(driverConn).(")
	if changed == text {
		return text
	}
	changed = packageClause.ReplaceAllString(changed, "$0\n\nimport "+strconv.Quote(p.audited()))
	if strings.Contains(changed, `"database/sql"`) {
		changed += "\nvar _ sql.IsolationLevel // keeps the import in use\n"
	}
	return changed
}

// importAudited makes the tests of a package import audited, for those that open
// databases by name.
func (p peer) importAudited(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		m := packageClause.FindSubmatch(b)
		if m == nil || strings.HasSuffix(file, "_test.go") {
			continue
		}
		text := fmt.Sprintf("package %s_test\n\nimport _ %q\n", m[1], p.audited())
		return os.WriteFile(filepath.Join(dir, "audited_test.go"), []byte(text), 0o644)
	}
	return fmt.Errorf("%s has no Go files", dir)
}

var createsTemporary = regexp.MustCompile(`(?i)\bcreate temp(orary)? table\b`)

// hideTemporary makes the tests' temporary tables look like others, which are
// captured. With pg_temp first in the search_path they still are temporary
// (PostgreSQL manual, "search_path"), so the tests stay apart.
func (p peer) hideTemporary(dir string) error {
	for _, pkg := range p.packages {
		err := changeFiles(filepath.Join(dir, pkg, "*_test.go"), func(text string) string {
			return createsTemporary.ReplaceAllString(text, "create table")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func changeFiles(pattern string, change func(string) string) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		text := change(string(b))
		if text == string(b) {
			continue
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

var testFunction = regexp.MustCompile(`(?ms)^func (Test\w+)\(.*?^}`)

// testsOfFakes finds the tests that talk to servers of their own, which answer
// only what they expect: no journal can be made there.
func (p peer) testsOfFakes(dir string) ([]string, error) {
	var names []string
	for _, pkg := range p.packages {
		err := changeFiles(filepath.Join(dir, pkg, "*_test.go"), func(text string) string {
			for _, m := range testFunction.FindAllStringSubmatch(text, -1) {
				if strings.Contains(m[0], "NewFake(") {
					names = append(names, m[1])
				}
			}
			return text
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}
