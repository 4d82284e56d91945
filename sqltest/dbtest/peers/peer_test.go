package peers_test

// peer is a module whose tests are run.
type peer struct {
	name     string
	module   string
	packages []string
	drivers  []string // the names that it registers
	patience []edit   // of its tests, for machines that are busy
	edits    []edit   // of its source, which make those names free
	database string   // that its tests expect
	setup    []string // SQL that its tests want done once on the server
	// env tells its tests where the server is.
	env func(host, port string) []string
}

// edit replaces text of one file, which must be there: where a new version of
// the peer reads otherwise, the edit is to be adapted.
type edit struct{ file, old, new string }

var libpq = peer{
	name:     "pq",
	module:   "github.com/lib/pq",
	packages: []string{".", "./hstore", "./internal/pqtest"},
	drivers:  []string{"postgres"},
	patience: []edit{
		{"notify_test.go", "time.After(100 * time.Millisecond):\n\t\tif", "time.After(2 * time.Second):\n\t\tif"},
		{"notify_test.go", "time.After(100 * time.Millisecond):\n\t\tpanic", "time.After(20 * time.Second):\n\t\tpanic"},
	},
	edits: []edit{
		{"conn.go", `sql.Register("postgres",`, `sql.Register("postgres-bare",`},
		// Look for connections left open even though tests failed: some do.
		{"pq_test.go", "if e > 0 {", "if e > 1 {"},
	},
	database: "pqgo",
	setup: []string{
		"CREATE ROLE pqgo LOGIN SUPERUSER",
		// They are to write to the journal that the first one makes.
		"CREATE ROLE pqgopassword LOGIN IN ROLE pqgo",
		"CREATE ROLE pqgoscram LOGIN IN ROLE pqgo",
		"CREATE ROLE pqgomd5 LOGIN IN ROLE pqgo",
	},
	env: func(_, port string) []string {
		return []string{"PGHOST=localhost", "PGPORT=" + port}
	},
}

// leftOpen is what lib/pq's tests print of a connection that is.
const leftOpen = "connection still active"

var pgx = peer{
	name:     "pgx",
	module:   "github.com/jackc/pgx/v5",
	packages: []string{"./stdlib"},
	drivers:  []string{"pgx", "pgx/v5"},
	edits: []edit{
		{"stdlib/sql.go", `slices.Contains(sql.Drivers(), "pgx")`, `slices.Contains(sql.Drivers(), "pgx-bare")`},
		{"stdlib/sql.go", `sql.Register("pgx",`, `sql.Register("pgx-bare",`},
		{"stdlib/sql.go", `sql.Register("pgx/v5",`, `sql.Register("pgx/v5-bare",`},
	},
	database: "pgx_test",
	env: func(host, port string) []string {
		return []string{"PGX_TEST_DATABASE=host=" + host + " port=" + port + " user=postgres dbname=pgx_test"}
	},
}
