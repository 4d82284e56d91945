package coverage

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/internal/errtext"
)

// Options say what has to be captured. Nil and the zero value mean every table, with any masks.
type Options struct {
	// Schema is the schema of the history and the timeline, "threadline" by default; on SQLite the prefix of their names.
	Schema string
	// Tables are tables that have to be captured in a certain way: a mask that the capture lacks is a finding. Other tables have to
	// be captured, too, unless Exclude names them.
	Tables []capture.Table
	// Exclude names tables that need no capture, with or without the schema: "schema_migrations", "queue.*". A * matches any text.
	// Prefer names to patterns: a pattern may also exclude a table that is added later.
	Exclude []string
	// Accept names columns whose values may be kept although their names suggest personal data or secrets: "customers.email",
	// with or without the schema; "*.email" is that column of every table.
	Accept []string
	// Window is how far back to look for gaps, and to compare the driver's counts with the triggers'. Zero means not to.
	Window time.Duration
	// Aliases are those of [threadline.Options].
	Aliases map[string][]string
}

// Checker checks one database. It is safe for concurrent use. A check uses one connection at a time.
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

// Check checks the whole database. What is wrong with it is in the report. An error means that the check could not be completed: the
// database did not answer, the role may not read the history, or the options contradict each other.
func (c *Checker) Check(ctx context.Context) (*Report, error) {
	run := &run{Checker: c, report: &Report{At: time.Now(), Tables: []Table{}, Findings: []Finding{}}, used: make(map[string]bool)}
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
	if err = run.window(ctx); err != nil {
		return nil, err
	}
	return run.report, nil
}

// run is one check.
type run struct {
	*Checker
	report *Report
	// wanted has the configured tables by their qualified names.
	wanted map[string]capture.Table
	used   map[string]bool // names and patterns that have matched a table or a column
}

func (r *run) add(f Finding) { r.report.Findings = append(r.report.Findings, f) }

// ping returns an error if the connection is lost: then an error that seems to be about a table is not.
func (r *run) ping(ctx context.Context) error { return r.db.PingContext(ctx) }

// configure finds the configured tables in the database.
func (r *run) configure(ctx context.Context, surveyed []capture.Relation) error {
	r.wanted = make(map[string]capture.Table)
	for _, t := range r.opts.Tables {
		name, err := r.installer.Qualify(ctx, t.Name)
		switch {
		case err != nil:
			if lost := r.ping(ctx); lost != nil {
				return lost
			}
			r.add(Finding{Code: NotFound, Table: t.Name, Text: errtext.Of(err), Fix: "correct its name, or remove it from the list"})
			continue
		case !slices.ContainsFunc(surveyed, func(s capture.Relation) bool { return s.Name == name }):
			r.add(Finding{Code: CannotCapture, Table: t.Name, Text: "it is not a table of the app's, or it is a partition", Fix: "name the partitioned table, or remove it from the list"})
			continue
		}
		if before, ok := r.wanted[name]; ok {
			return fmt.Errorf("coverage: %s and %s are the same table: name it once", before.Name, t.Name)
		}
		r.wanted[name] = t
	}
	return nil
}

// matches reports whether a list of names and patterns has a table, or, if column is not "", that column of it, and marks those that
// match as used. qualified is the table's qualified name, in quotes.
func (r *run) matches(list []string, qualified, column string) (found bool) {
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
			found = true
		}
	}
	return found
}

// match reports whether a name is that of a pattern, in which * is any text, and every other character is itself.
func match(pattern, name string) bool {
	parts := strings.Split(strings.ReplaceAll(pattern, `"`, ""), "*")
	last := len(parts) - 1
	if last == 0 {
		return parts[0] == name
	}
	rest, begins := strings.CutPrefix(name, parts[0])
	rest, ends := strings.CutSuffix(rest, parts[last])
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return begins && ends
}

// split divides a qualified name in quotes into schema and table. On SQLite the schema is main.
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

// displayName returns a qualified name for people: with quotes only where SQL needs them.
func displayName(qualified string) string {
	schema, table := split(qualified)
	return quoteIfNeeded(schema) + "." + quoteIfNeeded(table)
}

func quoteIfNeeded(name string) string {
	simple := name != "" && (name[0] < '0' || name[0] > '9')
	for _, c := range []byte(name) {
		simple = simple && (c == '_' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9')
	}
	if simple {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// unused adds the names in Exclude and Accept that match nothing: the table of such a name may have been renamed, and is no longer excluded.
func (r *run) unused() {
	for _, name := range slices.Concat(r.opts.Exclude, r.opts.Accept) {
		if !r.used[name] && !strings.Contains(name, "*") {
			r.add(Finding{Code: NotFound, Table: name, Notice: true, Text: "nothing has this name, or what has it does not need this entry", Fix: "correct it, or remove it from the list"})
		}
	}
}
