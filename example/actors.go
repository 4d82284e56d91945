package main

import (
	"net/http"
	"strconv"

	"github.com/go-aftercommit/aftercommit/example/shop"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
)

// withActor tells the audit trail who sends a request, by the shop's own
// sessions.
func withActor(sessions *shop.Sessions, next http.Handler) http.Handler {
	who := func(r *http.Request) hooks.Actor {
		s, ok := sessions.Of(r)
		switch {
		case !ok:
			return hooks.Actor{Type: hooks.Anonymous}
		case !s.Staff:
			return hooks.Actor{Type: hooks.User, ID: s.User, Name: s.Name}
		}
		admin := hooks.Actor{Type: hooks.Admin, ID: s.User, Name: s.Name}
		if s.Customer != 0 {
			admin.OnBehalfOf = strconv.FormatInt(s.Customer, 10)
		}
		return admin
	}
	return reqctx.Middleware(who, nil)(next)
}
