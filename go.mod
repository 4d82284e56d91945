module github.com/go-aftercommit/aftercommit

go 1.26.0

require (
	github.com/google/uuid v1.6.0
	github.com/lib/pq v1.10.0
	github.com/ngrok/sqlmw v0.0.0-20220520173518-97c9c04efc79
	go.uber.org/zap v1.16.0
)

require (
	go.uber.org/atomic v1.6.0 // indirect
	go.uber.org/multierr v1.5.0 // indirect
)
