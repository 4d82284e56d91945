package personal

import "testing"

func TestLooks(t *testing.T) {
	for column, want := range map[string]string{
		"email": "email", "customer_email": "email", "EMail": "mail", "emailAddress": "address", "EMAIL2": "email", "card_number": "card number", "cardNumber": "card number",
		"api_key": "api key", "APIKey": "api key", "password_hash": "password", "dateOfBirth": "birth", "ip": "ip", "home-phone": "phone", "HTTPToken": "token",
		"emailed": "", "discard": "", "cardinality": "", "shipping": "", "zipped_size": "", "status": "", "mailing": "", "pinned": "", "": "", "9": "", "tokens_used": "",
	} {
		if got, _ := Looks(column); got != want {
			t.Errorf("%q: %q, want %q", column, got, want)
		}
	}
}
