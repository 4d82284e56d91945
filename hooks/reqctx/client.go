package reqctx

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// client returns the address of who made the request; where the connection has
// none, as one through a Unix socket, what the server says instead.
//
// Each proxy appends to X-Forwarded-For the address that it was called from, and
// whoever calls the first one may have written anything before that. So the list
// is read from its end, and an entry is believed only if a trusted proxy wrote
// it: the client is the first address that is not one of theirs.
func client(r *http.Request, trusted []netip.Prefix) string {
	at, ok := address(r.RemoteAddr)
	if !ok {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values(forwardedFor), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !contains(trusted, at) {
			break
		}
		before, ok := address(strings.TrimSpace(hop))
		if !ok { // "unknown", or nothing: no further than this is known
			break
		}
		at = before
	}
	return at.String()
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// address reads an address with or without a port, an IPv6 one with or without
// brackets. An IPv4 address inside IPv6 is IPv4; a zone says nothing to others.
func address(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s = strings.TrimSuffix(inner, "]")
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err == nil
}
