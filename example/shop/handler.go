package shop

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// Handler serves the shop over HTTP, with JSON bodies:
//
//	POST /customers             {"name", "email"}        → {"id", "session"}
//	POST /customers/{id}/help                            → {"session"}, staff
//	POST /cart                  {"product", "quantity"}
//	POST /orders                {"coupon"}               → the order
//	POST /orders/{id}/refund    {"reason"}               → staff
//	POST /products/{id}/price   {"cents"}                → staff
func (s *Shop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /customers", s.signUp)
	mux.HandleFunc("POST /customers/{id}/help", s.staff(s.help))
	mux.HandleFunc("POST /cart", s.customer(s.addToCart))
	mux.HandleFunc("POST /orders", s.customer(s.placeOrder))
	mux.HandleFunc("POST /orders/{id}/refund", s.staff(s.refund))
	mux.HandleFunc("POST /products/{id}/price", s.staff(s.reprice))
	return mux
}

type handler func(w http.ResponseWriter, r *http.Request, session Session)

func (s *Shop) customer(h handler) http.HandlerFunc {
	return s.only(h, func(session Session) bool { return session.Customer != 0 })
}

func (s *Shop) staff(h handler) http.HandlerFunc {
	return s.only(h, func(session Session) bool { return session.Staff })
}

func (s *Shop) only(h handler, allowed func(Session) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		session, ok := s.Sessions.Of(r)
		switch {
		case !ok:
			http.Error(w, "log in first", http.StatusUnauthorized)
		case !allowed(session):
			http.Error(w, "not yours to do", http.StatusForbidden)
		default:
			h(w, r, session)
		}
	}
}

func (s *Shop) signUp(w http.ResponseWriter, r *http.Request) {
	var in struct{ Name, Email string }
	if !read(w, r, &in) {
		return
	}
	id, err := s.SignUp(r.Context(), in.Name, in.Email)
	session := Session{User: strconv.FormatInt(id, 10), Name: in.Name, Customer: id}
	answer(w, err, func() any {
		return map[string]any{"id": id, "session": s.Sessions.Open(session)}
	})
}

// help opens a session in which staff acts for a customer.
func (s *Shop) help(w http.ResponseWriter, r *http.Request, session Session) {
	id, ok := pathID(w, r)
	if !ok {
		return
	}
	session.Customer = id
	answer(w, nil, func() any { return map[string]any{"session": s.Sessions.Open(session)} })
}

func (s *Shop) addToCart(w http.ResponseWriter, r *http.Request, session Session) {
	var in struct{ Product, Quantity int64 }
	if !read(w, r, &in) {
		return
	}
	err := s.AddToCart(r.Context(), session.Customer, in.Product, in.Quantity)
	answer(w, err, nil)
}

func (s *Shop) placeOrder(w http.ResponseWriter, r *http.Request, session Session) {
	var in struct{ Coupon string }
	if !read(w, r, &in) {
		return
	}
	order, err := s.PlaceOrder(r.Context(), session.Customer, in.Coupon)
	answer(w, err, func() any { return order })
}

func (s *Shop) refund(w http.ResponseWriter, r *http.Request, _ Session) {
	var in struct{ Reason string }
	id, ok := pathID(w, r)
	if !ok || !read(w, r, &in) {
		return
	}
	_, err := s.Refund(r.Context(), id, in.Reason)
	answer(w, err, nil)
}

func (s *Shop) reprice(w http.ResponseWriter, r *http.Request, _ Session) {
	var in struct{ Cents int64 }
	id, ok := pathID(w, r)
	if !ok || !read(w, r, &in) {
		return
	}
	answer(w, s.Reprice(r.Context(), id, in.Cents), nil)
}

func pathID(w http.ResponseWriter, r *http.Request) (int64, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.Error(w, "the id is not a number", http.StatusBadRequest)
	}
	return id, err == nil
}

func read(w http.ResponseWriter, r *http.Request, in any) bool {
	err := json.NewDecoder(r.Body).Decode(in)
	if err != nil {
		http.Error(w, "the body is not JSON: "+err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

// answer writes err with its status, or else what body returns.
func answer(w http.ResponseWriter, err error, body func() any) {
	if err != nil {
		http.Error(w, err.Error(), status(err))
		return
	}
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	// The client may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(body())
}

func status(err error) int {
	switch {
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrDeclined):
		return http.StatusPaymentRequired
	case errors.Is(err, ErrEmptyCart), errors.Is(err, ErrOutOfStock), errors.Is(err, ErrNoReason), errors.Is(err, ErrNotRefundable):
		return http.StatusConflict
	default:
		return http.StatusInternalServerError
	}
}
