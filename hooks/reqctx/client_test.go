package reqctx_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
)

func TestClientBehindProxies(t *testing.T) {
	tests := []struct {
		name, remote string
		trusted      []string
		forwarded    []string
		want         string
	}{
		{"direct", "203.0.113.9:5", nil, nil, "203.0.113.9"},
		{"nobody is trusted", "10.0.0.1:5", nil, []string{"203.0.113.9"}, "10.0.0.1"},
		{"a stranger's header", "203.0.113.9:5", []string{"10.0.0.0/8"}, []string{"198.51.100.1"}, "203.0.113.9"},
		{"one proxy", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"203.0.113.9"}, "203.0.113.9"},
		{"a forged beginning", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		{"two proxies", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"1.1.1.1, 203.0.113.9 , 10.9.9.9"}, "203.0.113.9"},
		{"two lines", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"1.1.1.1,203.0.113.9", "10.9.9.9"}, "203.0.113.9"},
		{"forged inside the network", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"10.1.1.1, 203.0.113.9, 10.9.9.9"}, "203.0.113.9"},
		{"proxies only", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"10.1.1.1, 10.2.2.2"}, "10.1.1.1"},
		{"no header", "10.0.0.1:5", []string{"10.0.0.0/8"}, nil, "10.0.0.1"},
		{"an empty header", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{""}, "10.0.0.1"},
		{"unknown", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"1.1.1.1, unknown, 10.3.3.3"}, "10.3.3.3"},
		{"with a port", "10.0.0.1:5", []string{"10.0.0.0/8"}, []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"IPv6", "[2001:db8::1]:5", []string{"2001:db8::/64"}, []string{"[2001:db8:1::9]:4711"}, "2001:db8:1::9"},
		{"IPv6 in brackets", "[2001:db8::1]:5", []string{"2001:db8::/64"}, []string{"[2001:db8:1::9]"}, "2001:db8:1::9"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:5", []string{"10.0.0.0/8"}, []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"a zone", "[fe80::1%eth0]:5", []string{"fe80::/10"}, []string{"203.0.113.9"}, "203.0.113.9"},
		{"a Unix socket", "@", []string{"10.0.0.0/8"}, []string{"203.0.113.9"}, "@"},
		{"no address", "", []string{"0.0.0.0/0"}, []string{"203.0.113.9"}, ""},
	}
	for _, tt := range tests {
		r := request()
		r.RemoteAddr = tt.remote
		r.Header["X-Forwarded-For"] = tt.forwarded
		opts := &reqctx.Options{}
		for _, p := range tt.trusted {
			opts.TrustedProxies = append(opts.TrustedProxies, netip.MustParsePrefix(p))
		}
		if got, _ := serve(t, opts, r); got.IPAddress != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got.IPAddress, tt.want)
		}
	}
	r := request("X-Real-Ip", "203.0.113.9", "X-Forwarded-For", "1.1.1.1")
	opts := &reqctx.Options{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
		IPAddress:      func(r *http.Request) string { return r.Header.Get("X-Real-Ip") },
	}
	if got, _ := serve(t, opts, r); got.IPAddress != "203.0.113.9" {
		t.Errorf("the app's own function: %q", got.IPAddress)
	}
}
