package personal

import "testing"

func TestLooks(t *testing.T) {
	for column, want := range map[string]string{
		"email": "email", "customer_email": "email", "EMail": "mail", "emailAddress": "address", "EMAIL2": "email", "card_number": "card number", "cardNumber": "card number",
		"api_key": "api key", "APIKey": "api key", "password_hash": "password", "dateOfBirth": "birth", "ip": "ip", "home-phone": "phone", "HTTPToken": "token",
		"emailed": "", "discard": "", "cardinality": "", "shipping": "", "zipped_size": "", "status": "", "mailing": "", "pinned": "", "": "", "9": "", "tokens_used": "",
		// Of sign-ins and sessions.
		"hmac_key": "hmac key", "device_code": "device code", "user_code": "user code", "codeVerifier": "code verifier", "code_challenge": "code challenge", "signing_key": "signing key", "nonce": "nonce",
		"signing_key_pub": "signing key", "webauthn_session_data": "session data", "totp_seed": "totp", "seed": "seed", "jwt": "jwt", "private": "private", "encryption_key": "encryption key", "auth_code": "auth code",
		"access_token": "token", "refresh_token_hash": "refresh token", "password_salt": "password", "otp": "otp", "recoveryCodes": "recovery codes", "session_key": "session key", "bearer": "bearer",
		"client_secret": "client secret", "secretKey": "secret key", "cvv": "cvv", "iban": "iban", "ssn": "ssn", "pin": "pin", "csrf_token": "token", "tax_id": "tax id", "salary": "salary", "phone2": "phone",
		"session_data": "session data", "otp_backup_codes": "backup codes", "verification_code": "verification code", "dsn": "dsn", "master_key": "master key", "privkey": "privkey",
		"born_on": "born", "blood_type": "blood", "marital_status": "marital", "birth_date": "birth", "card_expiry": "card expiry", "card_expiration_date": "card expiration",
		// What tells about them.
		"is_private": "", "has_password": "", "hasToken": "", "island_token": "token",
		"refresh_token_lifetime": "", "claims_email_verified": "", "mfa_validated": "", "password_changed_at": "", "token_type": "", "email_verified": "", "emailVerified": "", "token_expires_at": "",
		"password_expiry": "", "otp_enabled": "", "mfa_required": "", "api_key_count": "", "password_policy": "", "phone_confirmed": "", "token_status": "", "card_type": "", "login_attempts": "", "pin_length": "",
		"email_sent_on": "", "address_format": "", "health_status": "", "cookie_ttl": "", "secret_version": "", "key_id": "", "code": "", "user_agent": "", "address_state": "address", "keyboard": "", "private_at": "",
	} {
		if got, _ := Looks(column); got != want {
			t.Errorf("%q: %q, want %q", column, got, want)
		}
	}
}
