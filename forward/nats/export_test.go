package nats

// FromOptions is what the hub makes a forwarder with.
var FromOptions = fromOptions
