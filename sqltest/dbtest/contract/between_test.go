package contract_test

import (
	"context"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// between is a hook that does something before or after another one's Flush.
type between struct {
	hooks.Hook
	before, after func()
}

type betweenHandler struct {
	hooks.Handler
	b *between
}

// Open wraps the handler.
func (b *between) Open(db hooks.Database) (hooks.Handler, error) {
	h, err := b.Hook.Open(db)
	if err != nil {
		return nil, err
	}
	return &betweenHandler{Handler: h, b: b}, nil
}

// Flush calls the two.
func (h *betweenHandler) Flush(ctx context.Context, f hooks.Flush) (bool, error) {
	if h.b.before != nil {
		h.b.before()
	}
	written, err := h.Handler.Flush(ctx, f)
	if h.b.after != nil {
		h.b.after()
	}
	return written, err
}
