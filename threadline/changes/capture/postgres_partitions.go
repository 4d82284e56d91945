package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Partitioning is how the table of changes is divided by Change.CapturedAt, in UTC, on PostgreSQL. A change of a time
// without a partition, as when no program has made any for a year, is in the default one, so no capture fails.
type Partitioning int

const (
	// Undivided is one table.
	Undivided Partitioning = iota
	// Monthly has a partition for each month, a year ahead.
	Monthly
	// Weekly has a partition for each week, from Monday, half a year ahead.
	Weekly
)

// ahead returns how many partitions are made for the time to come.
func (p Partitioning) ahead() int {
	if p == Weekly {
		return 26
	}
	return 12
}

// begin returns when the n-th partition from that of t on begins.
func (p Partitioning) begin(t time.Time, n int) time.Time {
	year, month, day := t.UTC().Date()
	if p == Weekly {
		sinceMonday := (int(t.UTC().Weekday()) + 6) % 7
		return time.Date(year, month, day-sinceMonday+7*n, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(year, month+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
}

const (
	defaultPartition = "audit_changes_default"
	partitionedKind  = "p" // pg_class.relkind

	duplicateTable    = "42P07"
	checkViolation    = "23514"
	invalidDefinition = "42P17"
)

// partition is a partition of audit_changes, made or to be made.
type partition struct {
	name     string
	from, to time.Time
}

func (p Partitioning) partitions(now time.Time) (list []partition) {
	for n := range p.ahead() + 1 {
		from := p.begin(now, n)
		list = append(list, partition{"audit_changes_" + from.Format("20060102"), from, p.begin(now, n+1)})
	}
	return list
}

// divided returns what divides audit_changes in step 1 of the schema: a clause of its CREATE TABLE, and a statement that makes
// the default partition.
func (s *Installer) divided() (clause, first string) {
	if s.partition == Undivided {
		return "", ""
	}
	return " PARTITION BY RANGE (captured_at)", "\t\tCREATE TABLE {schema}." + defaultPartition + " PARTITION OF {schema}.audit_changes DEFAULT;\n"
}

// makePartitions makes the partitions that are missing. Why it cannot make one is a warning. If careful, it makes none once the
// default one has changes: to attach another, the server reads them all, while captures of times without a partition wait.
func (s *Installer) makePartitions(ctx context.Context, careful bool) (warnings []string, err error) {
	if s.partition == Undivided {
		return nil, nil
	}
	var kind, now string
	err = s.catalog.DB.QueryRowContext(ctx, "SELECT c.relkind::pg_catalog.text, "+pgtext.Time("pg_catalog.now()")+
		" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'audit_changes'", s.catalog.Schema).Scan(&kind, &now)
	switch {
	case err != nil:
		return nil, err
	case kind != partitionedKind:
		return nil, fmt.Errorf("%s was made without partitions, and stays so: leave Options.Partition out", s.at("audit_changes"))
	}
	at, err := time.Parse(lenient.TimeForm, now)
	if err != nil {
		return nil, err
	}
	there, err := catalog.ReadAll(ctx, s.catalog.DB, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) },
		"SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname OPERATOR(pg_catalog.~~) 'audit\\_changes\\_2%'", s.catalog.Schema)
	if err != nil {
		return nil, err
	}
	for _, p := range s.partition.partitions(at) {
		if slices.Contains(there, p.name) {
			continue
		}
		err := s.makePartition(ctx, p, careful)
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("%s gets no partition from %s on: %v", s.at("audit_changes"), p.from.Format(time.DateOnly), err))
		}
		if state := hooks.SQLState(err); err != nil && state != checkViolation && state != invalidDefinition {
			break // the next ones would say the same
		}
	}
	return warnings, nil
}

// revokeSQL takes from others than the owner what default privileges may have given them.
func (s *Installer) revokeSQL(name string) string {
	return `DO $revoke$
DECLARE
	given record;
BEGIN
	FOR given IN SELECT DISTINCT a.grantee FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a WHERE c.oid = ` + pgtext.Literal(s.at(name)) + `::pg_catalog.regclass::pg_catalog.oid AND a.grantee <> c.relowner
	LOOP
		EXECUTE pg_catalog.concat('REVOKE ALL ON ', ` + pgtext.Literal(s.at(name)) + `, ' FROM ', CASE WHEN given.grantee = 0::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(given.grantee)) END);
	END LOOP;
END
$revoke$`
}

func (s *Installer) makePartition(ctx context.Context, p partition, careful bool) error {
	var held bool
	err := s.catalog.InTx(ctx, nil, func(tx *sql.Tx) error {
		if err := s.takeTurn(ctx, tx); err != nil {
			return err
		}
		// NOWAIT, because captures of times without a partition would queue behind a session that waits. Other captures do
		// not use the default partition.
		_, err := tx.ExecContext(ctx, "LOCK TABLE ONLY "+s.at(defaultPartition)+" IN ACCESS EXCLUSIVE MODE NOWAIT")
		if err != nil {
			return err
		}
		if careful {
			err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM "+s.at(defaultPartition)+")").Scan(&held)
			if err != nil || held {
				return err
			}
		}
		var owner string
		err = tx.QueryRowContext(ctx, "SELECT "+pgtext.HexAnywhere("pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text")+" FROM pg_catalog.pg_class c WHERE c.oid = "+pgtext.Literal(s.at("audit_changes"))+"::pg_catalog.regclass::pg_catalog.oid").
			Scan(pgtext.Scanner(&owner))
		if err != nil {
			return err
		}
		for _, q := range []string{
			"CREATE TABLE " + s.at(p.name) + " (LIKE " + s.at("audit_changes") + ") WITH (" + storage + ")",
			s.revokeSQL(p.name),
			"ALTER TABLE " + s.at("audit_changes") + " ATTACH PARTITION " + s.at(p.name) + " FOR VALUES FROM ('" + p.from.Format(time.RFC3339) + "') TO ('" + p.to.Format(time.RFC3339) + "')",
			"ALTER TABLE " + s.at(p.name) + " OWNER TO " + pgschema.Ident(owner),
		} {
			if _, err = tx.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	switch state := hooks.SQLState(err); {
	case held:
		return errors.New("changes are in " + s.at(defaultPartition) + ", which is read for each new partition: call capture.Installer.Migrate as the owner when little is written")
	case state == duplicateTable:
		return nil // another process has made it
	case state == lockTimeout:
		return fmt.Errorf("a transaction uses %s: it is tried again later: %w", s.at(defaultPartition), err)
	case state == checkViolation:
		return fmt.Errorf("changes of that time are in %s, and stay there: %w", s.at(defaultPartition), err)
	case state == invalidDefinition:
		return fmt.Errorf("a partition of another Options.Partition has a part of that time: %w", err)
	}
	return err
}

// The first change of a transaction locks its partition of audit_changes. There may be none for it, or somebody may have locked it. So it
// is added in a block with an exception handler, and waits as little as can be. This takes one more transaction ID, but only once in a
// transaction: the others find the lock held.

// hurry has the session wait for locks as little as can be, until patient.
func (g *generator) hurry(depth int) {
	g.line(depth, "patience := pg_catalog.current_setting('lock_timeout'); mark := pg_catalog.set_config('lock_timeout', '1ms', true);")
}

func (g *generator) patient(depth int) {
	g.line(depth, "mark := pg_catalog.set_config('lock_timeout', patience, true);")
}

// insertFirst adds the first change of a transaction to a table in partitions. Where it fails, the others of the transaction are not even
// tried: each would wait again.
func (g *generator) insertFirst() {
	setting, lost := "threadline."+g.installer.setting(), "pg_catalog.concat('lost ', pg_catalog.pg_current_xact_id())"
	g.line(2, "IF %s THEN", is("pg_catalog.current_setting('"+setting+"', true)", lost))
	g.line(3, "wrong := 'an earlier change of the transaction could not be kept';")
	g.line(2, "ELSE")
	g.line(3, "BEGIN")
	g.hurry(4)
	g.insert(4)
	g.patient(4)
	g.line(4, "mark := %s;", g.mark())
	g.line(4, "RETURN NULL;")
	g.line(3, "EXCEPTION WHEN others THEN")
	g.line(4, "wrong := SQLERRM;")
	g.line(3, "END;")
	g.line(3, "mark := pg_catalog.set_config('%s', %s, true);", setting, lost)
	g.line(2, "END IF;")
	g.loseMoves(2)
	g.gap()
	g.line(2, "RETURN NULL;")
}
