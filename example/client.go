package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-aftercommit/aftercommit/example/shop"
)

// client is the shop's web site, as its customers and staff use it.
type client struct {
	url string
	// log has every request in order.
	log []request
}

// request is what somebody asked of the shop, and how that went.
type request struct {
	id     string // X-Request-Id
	what   string // in words
	path   string
	in     map[string]any
	status int
	answer string
}

func (r request) refused() bool { return r.status >= 400 }

// post sends a request that may be refused. The answer is decoded into out,
// unless that is nil or the request was refused.
func (c *client) post(ctx context.Context, session, what, path string, in map[string]any, out any) (request, error) {
	r := request{id: fmt.Sprintf("req-%03d", len(c.log)+1), what: what, path: path, in: in}
	body, err := json.Marshal(in)
	if err != nil {
		return r, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		return r, err
	}
	req.Header.Set("X-Request-Id", r.id)
	if session != "" {
		req.Header.Set(shop.SessionHeader, session)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return r, err
	}
	r.status, r.answer = resp.StatusCode, strings.TrimSpace(string(text))
	c.log = append(c.log, r)
	if r.refused() || out == nil {
		return r, nil
	}
	return r, json.Unmarshal(text, out)
}

// must is post for a request that the shop has to accept.
func (c *client) must(ctx context.Context, session, what, path string, in map[string]any, out any) error {
	r, err := c.post(ctx, session, what, path, in, out)
	if err == nil && r.refused() {
		err = fmt.Errorf("%s: %s: %d %s", what, path, r.status, r.answer)
	}
	return err
}
