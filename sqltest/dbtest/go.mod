module github.com/go-aftercommit/aftercommit/sqltest/dbtest

go 1.26.0

require (
	github.com/go-aftercommit/aftercommit v0.0.0
	github.com/jackc/pgx/v5 v5.12.0
	github.com/lib/pq v1.12.3
	github.com/wasilibs/go-pgquery v0.0.0-20260728010200-155ebad2880e
	go.uber.org/goleak v1.3.0
	modernc.org/sqlite v1.62.0
	pgregory.net/rapid v1.3.0
)

replace github.com/go-aftercommit/aftercommit => ../../
