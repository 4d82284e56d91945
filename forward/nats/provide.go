package nats

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/internal/cloudevent"
)

func init() { forward.Provide("nats", fromOptions) }

// fromOptions makes a forwarder with a connection of its own, for
// [forward.Hub.Configure]. The options are "url", as for nats.Connect,
// "credentials", a file, "source" as in [Options], and "prefix", which is what
// subjects begin with instead of "audit". A server that is down is tried again
// until it is there.
func fromOptions(options map[string]string) (forward.Forwarder, error) {
	if err := forward.OnlyOptions(options, "url", "credentials", "source", "prefix"); err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	if options["url"] == "" {
		return nil, errors.New(`nats: the option "url" is missing, such as nats://localhost:4222`)
	}
	connect := []nats.Option{nats.Name("aftercommit"), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true)}
	if file := options["credentials"]; file != "" {
		connect = append(connect, nats.UserCredentials(file))
	}
	o := &Options{Source: options["source"]}
	if prefix := options["prefix"]; prefix != "" {
		if err := checkSubject(prefix); err != nil {
			return nil, err
		}
		o.Subject = prefixed(prefix)
	}
	if err := cloudevent.CheckSource(o.Source); err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	conn, err := nats.Connect(options["url"], connect...)
	if err != nil {
		return nil, fmt.Errorf("nats: the option url: %w", err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return New(js, o)
}
