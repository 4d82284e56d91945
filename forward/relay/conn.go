package relay

import "context"

// connect takes a connection, which must be given back by disconnect, unless stop is closed
// before one is free.
func (w *worker) connect(ctx context.Context, stop <-chan struct{}) error {
	if !w.relay.lender.enter(ctx, stop) {
		return context.Cause(ctx)
	}
	conn, err := w.relay.db.Conn(ctx)
	if err != nil {
		w.relay.lender.leave()
		return err
	}
	w.conn, w.left = conn, Nothing
	return nil
}

// disconnect gives the connection back after err, or closes it.
func (w *worker) disconnect(err error) {
	if w.conn == nil {
		return
	}
	giveBack(w.conn, w.left, err)
	w.conn = nil
	w.relay.lender.leave()
}

// reconnect gives the worker another connection: something may still use the one that it
// has, or wait in it for the next statement.
func (w *worker) reconnect(ctx context.Context) error {
	w.left = Open
	w.disconnect(nil)
	return w.connect(ctx, nil)
}
