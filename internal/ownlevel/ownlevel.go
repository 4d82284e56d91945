// Package ownlevel marks connections of a Hub whose statements begin their transactions with a
// level of their own, so that the driver need not ask a new session for its defaults: a
// process without a lease opens a connection for each heartbeat, and that would be most of
// what it costs.
package ownlevel

import "context"

type key struct{}

// With marks the connection that is opened with ctx.
func With(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, true) }

// Is reports whether it is marked.
func Is(ctx context.Context) bool { return ctx.Value(key{}) != nil }
