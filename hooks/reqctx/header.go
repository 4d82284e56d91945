package reqctx

import (
	"net/http"
	"strings"
)

// The headers that are read.
const (
	requestID     = "X-Request-Id"
	correlationID = "X-Correlation-Id"
	traceparent   = "Traceparent"
	forwardedFor  = "X-Forwarded-For"
)

// maxIdentifier is the longest ID, in bytes, that is taken from a header.
const maxIdentifier = 128

// identifier returns the ID in a header, "" if it is not usable: given once, of
// visible ASCII, and not longer than maxIdentifier. Such a text goes into logs
// and back into headers without harm.
func identifier(h http.Header, name string) string {
	id := single(h, name)
	invisible := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(id) > maxIdentifier || strings.ContainsFunc(id, invisible) {
		return ""
	}
	return id
}

// single returns the value of a header that is given once, "" otherwise.
func single(h http.Header, name string) string {
	if values := h.Values(name); len(values) == 1 {
		return values[0]
	}
	return ""
}

// traceParentLen is the length of a version 00 traceparent.
const traceParentLen = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// traceParent returns the traceparent header if it is valid (W3C Trace Context,
// section 3.2). Of versions that are not known yet it returns what version 00
// has, as section 3.2.4 asks.
func traceParent(h http.Header) string {
	s := single(h, traceparent)
	if len(s) < traceParentLen {
		return ""
	}
	version, known := s[:2], s[:traceParentLen]
	trace, parent, flags := s[3:35], s[36:52], s[53:55]
	switch {
	case s[2] != '-' || s[35] != '-' || s[52] != '-',
		!isHex(version) || !isHex(trace) || !isHex(parent) || !isHex(flags),
		version == "ff",
		strings.Trim(trace, "0") == "" || strings.Trim(parent, "0") == "",
		version == "00" && s != known,
		s != known && s[traceParentLen] != '-':
		return ""
	}
	return known
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}
