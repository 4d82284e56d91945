package sqltest

import (
	"context"
	"database/sql"
	"errors"
)

func tracePrepared(ctx context.Context, s *trace) {
	st, err := s.db.PrepareContext(ctx, s.sql.insert)
	if s.err("prepare", err) {
		return
	}
	exec := func(st *sql.Stmt, args ...any) {
		res, execErr := st.ExecContext(ctx, args...)
		s.result("stmt", res, execErr)
	}
	exec(st, 1, "a")
	exec(st, 1, "a")
	exec(st, 1)
	exec(st, struct{}{}, "a")
	if tx := s.begin(ctx, nil); tx != nil {
		inTx := tx.StmtContext(ctx, st)
		exec(inTx, 2, "b")
		s.err("rollback", tx.Rollback())
		exec(inTx, 3, "c")
	}
	s.err("close", st.Close()) //nolint:sqlclosecheck // when it is closed is what is traced
	exec(st, 4, "d")

	one, err := s.db.PrepareContext(ctx, s.sql.with("SELECT name FROM sqltest_item WHERE id = ?"))
	if s.err("prepare", err) {
		return
	}
	rows, err := one.QueryContext(ctx, 1)
	s.rows("stmt query", rows, err)
	var name string
	s.err("stmt row", one.QueryRowContext(ctx, 9).Scan(&name))
	s.err("close", one.Close()) //nolint:sqlclosecheck // as above
	s.pool()
}

func traceTx(ctx context.Context, s *trace) {
	for _, commits := range []bool{true, false} {
		tx := s.begin(ctx, nil)
		if tx == nil {
			return
		}
		if commits {
			s.exec(ctx, tx, s.sql.insert, 1, "a")
			s.err("commit", tx.Commit())
		} else {
			s.exec(ctx, tx, s.sql.insert, 2, "b")
			s.query(ctx, tx, s.sql.all)
			s.err("rollback", tx.Rollback())
		}
		s.err("commit again", tx.Commit())
		s.err("rollback again", tx.Rollback())
		s.exec(ctx, tx, s.sql.insert, 3, "c")
	}
	if tx := s.begin(ctx, nil); tx != nil {
		s.err("empty commit", tx.Commit())
	}
	s.query(ctx, s.db, s.sql.all)
	s.pool()
}

func traceTxOptions(ctx context.Context, s *trace) {
	id := 0
	for level := sql.LevelDefault; level <= sql.LevelLinearizable+1; level++ {
		for _, readOnly := range []bool{false, true} {
			id++
			s.note("%s, read only %v", level, readOnly)
			tx := s.begin(ctx, &sql.TxOptions{Isolation: level, ReadOnly: readOnly})
			if tx == nil {
				continue
			}
			s.query(ctx, tx, s.sql.level)
			s.exec(ctx, tx, s.sql.insert, id, id)
			s.exec(ctx, tx, s.sql.with("INSERT INTO sqltest_item (id, name) VALUES (?, 'x')"), id+100)
			s.err("commit", tx.Commit())
		}
	}
	s.query(ctx, s.db, s.sql.all)
	s.pool()
}

func traceFailedTx(ctx context.Context, s *trace) {
	tx := s.begin(ctx, nil)
	if tx == nil {
		return
	}
	s.exec(ctx, tx, s.sql.insert, 1, "a")
	s.exec(ctx, tx, s.sql.insert, 1, "a")
	s.exec(ctx, tx, s.sql.insert, 2, "b")
	s.query(ctx, tx, s.sql.all)
	s.err("commit", tx.Commit())
	s.query(ctx, s.db, s.sql.all)
	s.pool()
}

func traceSavepoints(ctx context.Context, s *trace) {
	tx := s.begin(ctx, nil)
	if tx == nil {
		return
	}
	for i, q := range []string{
		"SAVEPOINT a", "", "SAVEPOINT A", "", "ROLLBACK TO a", "", "RELEASE a", "",
		"ROLLBACK TO SAVEPOINT a", "", "SAVEPOINT b", "RELEASE SAVEPOINT b",
	} {
		if q != "" {
			s.exec(ctx, tx, q)
			continue
		}
		s.exec(ctx, tx, s.sql.insert, i, i)
	}
	s.err("commit", tx.Commit())
	s.exec(ctx, s.db, "ROLLBACK TO nowhere")
	s.query(ctx, s.db, s.sql.all)
	s.pool()
}

func traceCancelled(ctx context.Context, s *trace) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	s.exec(ended, s.db, s.sql.insert, 1, "a")
	s.query(ended, s.db, s.sql.all)
	_, err := s.db.PrepareContext(ended, s.sql.all) //nolint:sqlclosecheck // it fails
	s.err("prepare", err)
	s.begin(ended, nil)
	s.err("ping", s.db.PingContext(ended))

	tx := s.begin(ctx, nil)
	if tx == nil {
		return
	}
	s.exec(ctx, tx, s.sql.insert, 2, "b")
	s.exec(ended, tx, s.sql.insert, 3, "c")
	s.query(ended, tx, s.sql.all)
	s.exec(ctx, tx, s.sql.insert, 4, "d")
	s.err("commit", tx.Commit())
	s.query(ctx, s.db, s.sql.all)
}

// traceCancelledTx does not look at the pool: database/sql rolls back in a
// goroutine of its own.
func traceCancelledTx(ctx context.Context, s *trace) {
	s.db.SetMaxOpenConns(1)
	ended, cancel := context.WithCancel(ctx)
	defer cancel()
	tx := s.begin(ended, nil)
	if tx == nil {
		return
	}
	s.exec(ctx, tx, s.sql.insert, 1, "a")
	cancel()
	err := tx.Commit()
	if errors.Is(err, sql.ErrTxDone) {
		err = context.Canceled // which of the two it is, is a matter of chance
	}
	s.err("commit", err)
	// One connection: it is only had when the rollback is over.
	s.query(ctx, s.db, s.sql.all)
}
