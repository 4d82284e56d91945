package shop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/example/shop"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// post sends a request as the shop's clients do and returns status and answer.
func post(t *testing.T, h http.Handler, session, path, body string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set(shop.SessionHeader, session)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var answer map[string]any
	if w.Code == http.StatusCreated {
		must(t, json.Unmarshal(w.Body.Bytes(), &answer))
	}
	return w.Code, answer
}

func TestHandlers(t *testing.T) {
	s := open(t, dbtest.SQLite)
	h := s.Handler()
	code, answer := post(t, h, "", "/customers", `{"name": "Ada", "email": "ada@example.com"}`)
	if code != http.StatusCreated {
		t.Fatalf("sign up: status %d", code)
	}
	ada, _ := answer["session"].(string)
	staff := s.Sessions.Open(shop.Session{User: "linus", Staff: true})
	code, answer = post(t, h, staff, fmt.Sprintf("/customers/%v/help", answer["id"]), "")
	if code != http.StatusCreated {
		t.Fatalf("help: status %d", code)
	}
	helping, _ := answer["session"].(string)

	tea := fmt.Sprintf(`{"product": %d, "quantity": 1}`, s.tea.ID)
	steps := []struct {
		session, path, body string
		want                int
	}{
		{"", "/cart", tea, http.StatusUnauthorized},
		{"made-up", "/cart", tea, http.StatusUnauthorized},
		{staff, "/cart", tea, http.StatusForbidden},
		{ada, "/cart", "tea, please", http.StatusBadRequest},
		{"", "/customers", `{"name": "Ada again", "email": "ada@example.com"}`, http.StatusInternalServerError},
		{ada, "/orders", `{}`, http.StatusConflict},
		{helping, "/cart", tea, http.StatusNoContent},
		{ada, "/orders", `{}`, http.StatusCreated},
		{ada, "/orders/1/refund", `{"reason": "I say so"}`, http.StatusForbidden},
		{helping, "/orders/x/refund", `{}`, http.StatusBadRequest},
		{helping, "/orders/9/refund", `{}`, http.StatusNotFound},
		{helping, "/orders/1/refund", `{"reason": "cold"}`, http.StatusNoContent},
		{helping, "/orders/1/refund", `{"reason": "cold"}`, http.StatusConflict},
		{staff, fmt.Sprintf("/products/%d/price", s.tea.ID), `{"cents": 5}`, http.StatusNoContent},
	}
	for _, step := range steps {
		if code, _ := post(t, h, step.session, step.path, step.body); code != step.want {
			t.Errorf("%s %s: status %d, want %d", step.path, step.body, code, step.want)
		}
	}
}
