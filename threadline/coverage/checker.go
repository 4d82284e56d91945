package coverage

import (
	"context"
	"database/sql"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// Options say what is to be captured. Nil, and the zero value, mean each table, with any masks.
type Options struct {
	// Schema is the schema of the history and the timeline, "threadline" by default; on SQLite the prefix of their names.
	Schema string
	// Tables are those that are to be captured, and how: a mask that the database does not have is a finding.
	Tables []capture.Table
	// Exclude are tables that need no capture, by name, with or without the schema: "schema_migrations", "queue.*". A * stands for
	// any text. So that a table that is made next year is found, name tables in preference to patterns.
	Exclude []string
	// Accept are columns whose values are to be kept although their names look like those of personal data or secrets:
	// "customers.email", with or without the schema; "*.email" in each table.
	Accept []string
	// Window is how far back gaps are looked for, and the driver's counts compared with the triggers'. Zero means not at all.
	Window time.Duration
	// Aliases are those of [threadline.Options].
	Aliases map[string][]string
}

// Checker checks one database. It is safe for concurrent use, and needs one connection at a time.
type Checker struct {
	db      *sql.DB
	dialect hooks.Dialect
	opts    Options

	installer *capture.Installer
	rows      *changes.Store
	timeline  *threadline.Store
}

// NewChecker returns a checker of db. It does no I/O.
func NewChecker(db *sql.DB, dialect hooks.Dialect, opts *Options) *Checker {
	c := &Checker{db: db, dialect: dialect}
	if opts != nil {
		c.opts = *opts
	}
	c.installer = capture.NewInstaller(db, dialect, &capture.Options{Schema: c.opts.Schema})
	c.rows = changes.NewStore(db, dialect, &changes.Options{Schema: c.opts.Schema, Aliases: c.opts.Aliases})
	c.timeline = threadline.NewStore(db, dialect, &threadline.Options{Schema: c.opts.Schema, Aliases: c.opts.Aliases})
	return c
}

// Check looks at the whole database. What is wrong with the database is in the report; an error means that there is none: the database
// did not answer, the role may not read the history, or the options make no sense.
func (c *Checker) Check(ctx context.Context) (*Report, error) {
	run := &run{Checker: c, report: &Report{At: time.Now(), Tables: []Table{}, Findings: []Finding{}}, used: make(map[string]bool)}
	for _, pattern := range slices.Concat(c.opts.Exclude, c.opts.Accept) {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("coverage: %q is no pattern: write a name, with * for any text", pattern)
		}
	}
	surveyed, err := c.installer.Survey(ctx)
	if err != nil {
		return nil, err
	}
	if err = run.configure(ctx, surveyed); err != nil {
		return nil, err
	}
	for i := range surveyed {
		if err = run.table(ctx, &surveyed[i]); err != nil {
			return nil, err
		}
	}
	run.unused()
	return run.report, run.window(ctx)
}

// run is one check.
type run struct {
	*Checker
	report *Report
	// wanted has the configured tables by their qualified names.
	wanted map[string]capture.Table
	used   map[string]bool // names and patterns that a table or a column was found for
}

func (r *run) add(f Finding) { r.report.Findings = append(r.report.Findings, f) }

// alive tells an error that is about a table from one of the connection.
func (r *run) alive(ctx context.Context) error { return r.db.PingContext(ctx) }

// configure finds the configured tables.
func (r *run) configure(ctx context.Context, surveyed []capture.Surveyed) error {
	r.wanted = make(map[string]capture.Table)
	for _, t := range r.opts.Tables {
		name, err := r.installer.Qualify(ctx, t.Name)
		if dead := r.alive(ctx); dead != nil {
			return dead
		}
		switch {
		case err != nil:
			r.add(Finding{Code: NoTable, Table: t.Name, Text: plain(err), Fix: "correct its name, or take it out of the list"})
			continue
		case !slices.ContainsFunc(surveyed, func(s capture.Surveyed) bool { return s.Name == name }):
			r.add(Finding{Code: NotPossible, Table: t.Name, Text: "it is no table of the app's, or a partition: name the table that has it", Fix: "take it out of the list"})
			continue
		}
		if before, ok := r.wanted[name]; ok {
			return fmt.Errorf("coverage: %s and %s are one table: name it once", before.Name, t.Name)
		}
		r.wanted[name] = t
	}
	return nil
}

// plain is an error without the name of the package that it is from.
func plain(err error) string {
	text := err.Error()
	for _, prefix := range []string{"capture: ", "changes: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// matches reports whether a table, by its qualified name in quotes, is one of a list of names and patterns; with a column, whether
// that column of it is.
func (r *run) matches(list []string, qualified, column string) (is bool) {
	schema, table := split(qualified)
	for _, pattern := range list {
		rest := pattern
		if column != "" {
			dot := strings.LastIndexByte(pattern, '.')
			if dot < 0 || !match(pattern[dot+1:], column) {
				continue
			}
			rest = pattern[:dot]
		}
		if match(rest, table) || match(rest, schema+"."+table) {
			r.used[pattern] = true
			is = true
		}
	}
	return is
}

func match(pattern, name string) bool {
	is, err := path.Match(strings.ReplaceAll(pattern, `"`, ""), name)
	return err == nil && is
}

// split takes a qualified name in quotes apart. On SQLite the schema is main.
func split(qualified string) (schema, table string) {
	parts := strings.SplitN(strings.Trim(qualified, `"`), `"."`, 2)
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], `""`, `"`)
	}
	if len(parts) == 1 {
		return "main", parts[0]
	}
	return parts[0], parts[1]
}

// shown is a qualified name as people read it: without quotes where SQL needs none.
func shown(qualified string) string {
	schema, table := split(qualified)
	return ident(schema) + "." + ident(table)
}

func ident(name string) string {
	simple := name != "" && (name[0] < '0' || name[0] > '9')
	for _, c := range []byte(name) {
		simple = simple && (c == '_' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9')
	}
	if simple {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// unused reports names in Exclude and Accept that nothing has: such as a table that was renamed, and may be captured no more.
func (r *run) unused() {
	for _, name := range slices.Concat(r.opts.Exclude, r.opts.Accept) {
		if !r.used[name] && !strings.Contains(name, "*") {
			r.add(Finding{Code: NoTable, Table: name, Notice: true, Text: "nothing has this name, or what has it needs no such entry", Fix: "correct it, or take it out of the list"})
		}
	}
}
