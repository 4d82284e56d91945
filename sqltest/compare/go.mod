module github.com/go-aftercommit/aftercommit/sqltest/compare

go 1.26.0

require (
	github.com/XSAM/otelsql v0.44.0
	github.com/go-aftercommit/aftercommit v0.0.0
	github.com/ngrok/sqlmw v0.0.0-20220520173518-97c9c04efc79
	github.com/qustavo/sqlhooks/v2 v2.1.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/google/uuid v1.6.0 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel v1.46.0 // indirect
	go.opentelemetry.io/otel/metric v1.46.0 // indirect
	go.opentelemetry.io/otel/trace v1.46.0 // indirect
	google.golang.org/appengine v1.6.8 // indirect
)

replace github.com/go-aftercommit/aftercommit => ../../
