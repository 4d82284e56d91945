// Package nats forwards audit events to NATS JetStream, as CloudEvents. Its name
// is that of NATS' own package, so import it under another:
//
//	import (
//		"github.com/nats-io/nats.go"
//		"github.com/nats-io/nats.go/jetstream"
//
//		natsforward "github.com/go-aftercommit/aftercommit/forward/nats"
//	)
//
//	conn, err := nats.Connect(url, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
//	...
//	js, err := jetstream.New(conn)
//	...
//	events, err := natsforward.New(js, nil)
//	...
//	audit.Register(events, forward.Async)
//
// # The message
//
// Each entry is one message, on the subject "audit." and the action, such as
// audit.order.refunded, unless [Options.Subject] says otherwise. Its body is a
// CloudEvent 1.0 in JSON (structured mode, application/cloudevents+json), whose
// data is the entry as the journal has it:
//
//	id               the event's ID
//	source           Options.Source, by default "/" and the app's name
//	type             the action
//	subject          the target, as "order/42"; absent if there is none
//	time             when the event occurred
//	datacontenttype  application/json
//
// CloudEvents allows no control characters in a subject; they become U+FFFD
// there, and are as they were in data.
//
// # Delivery
//
// The messages of a batch are published in order, on one connection, and then
// their acknowledgements are waited for. A stream stores them in that order,
// except those that have to be tried again.
//
// The event's ID is also the message's (Nats-Msg-Id), so the stream drops an
// entry that comes again within its duplicate window. The window should be
// longer than entries are retried, which is about eight minutes for the relay's
// five attempts, and more while the sink is suspended; NATS' default is two
// minutes. Older entries that are replayed come twice; consumers recognise them by
// the id.
//
// The stream must acknowledge, so NoAck does not do. A connection without
// permission to publish gets no answer either, and the entries time out; NATS
// tells the connection's error handler.
//
// # Errors
//
// Some entries can never be delivered as they are. They are discarded at once,
// and come again when somebody replays their reason:
//
//	payload_too_large  larger than the server or the stream allows
//	no_stream          no stream takes the subject, and JetStream has said so
//	invalid_subject    Options.Subject returned what cannot be published to
//	invalid_event      metadata that is no JSON, possible without a journal only
//
// Everything else may pass: no connection, no answer, a stream without a leader
// or without room.
//
// Whether a stream takes the subject is asked for through the JetStream given to
// [New]. Where the stream is in another domain it must be of that domain
// (jetstream.NewWithDomain), and the connection must be allowed to ask
// (STREAM.NAMES); else a missing stream is an error that may pass.
package nats
