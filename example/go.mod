module github.com/go-aftercommit/aftercommit/example

go 1.26.0

require (
	github.com/go-aftercommit/aftercommit v0.0.0
	github.com/lib/pq v1.12.3
	github.com/schollz/progressbar/v3 v3.19.1
	modernc.org/sqlite v1.62.0
)

replace github.com/go-aftercommit/aftercommit => ../
