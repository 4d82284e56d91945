// Package personal knows from the names of columns which may have personal data or secrets.
package personal

import (
	"slices"
	"strings"
	"unicode"
)

// known are words in the names of columns with personal data or secrets. Several words have to follow each other.
var known = []string{
	// Secrets.
	"password", "passwd", "pwd", "passphrase", "passcode", "secret", "token", "api key", "apikey", "access key", "private key", "credential", "credentials",
	"salt", "otp", "totp", "mfa", "recovery code", "recovery codes", "session key", "cookie", "csrf", "refresh token", "client secret", "webhook secret", "pin",
	"hmac", "hmac key", "signing key", "encryption key", "secret key", "verifier", "code verifier", "code challenge", "device code", "user code", "auth code",
	"authorization code", "hotp", "backup code", "backup codes", "session data", "privkey", "master key", "verification code", "reset code", "dsn", "connection string", "nonce", "seed", "mnemonic", "jwt", "bearer", "webauthn", "private",
	// Payment.
	"card", "card expiry", "card expiration", "card number", "cc number", "ccnumber", "pan", "cvc", "cvv", "iban", "bic", "account number", "routing number", "sort code",
	// People.
	"email", "mail", "phone", "mobile", "telephone", "fax", "first name", "firstname", "last name", "lastname", "surname", "full name", "fullname", "maiden name",
	"birth", "birthday", "birthdate", "dob", "born", "gender", "sex", "ethnicity", "religion", "nationality", "marital",
	"address", "street", "zip", "zipcode", "postcode", "postal code", "latitude", "longitude", "ip", "ip address",
	"ssn", "social security", "sin", "nino", "tin", "tax id", "taxid", "passport", "license number", "licence number", "driver license", "national id",
	"diagnosis", "medical", "health", "blood", "salary", "income", "biometric", "fingerprint",
}

// about are the last words of names of columns that say something about such data, and do not have it: email_verified, token_expires_at.
var about = []string{
	"at", "on", "until", "expiry", "expires", "expiration", "lifetime", "ttl", "validity", "age",
	"verified", "validated", "confirmed", "enabled", "disabled", "required", "optional", "allowed", "supported", "present", "set", "used", "sent", "changed", "expired", "revoked", "opt in", "opted in",
	"type", "kind", "status", "count", "policy", "length", "size", "format", "version", "attempts", "retries", "limit", "algorithm", "alg", "provider", "visibility", "preference", "preferences",
}

// always are the words of which that is the datum, too: born_on, blood_type, card_expiry.
var always = map[string]bool{"born": true, "birth": true, "blood": true, "marital": true, "medical": true, "card expiry": true, "card expiration": true}

// Looks reports whether a column's name has a word that suggests personal data or a secret, and returns the longest such word.
// Words end before a capital, and at anything that is not a letter: card_number and cardNumber are "card number", but
// CARDNUMBER2 is "cardnumber", and only found if the list has that, too. A name whose last word only tells about such data is none,
// nor is one that asks whether there is any: has_password.
func Looks(column string) (word string, is bool) {
	list := words(column)
	name := " " + strings.Join(list, " ") + " "
	for _, p := range known {
		if strings.Contains(name, " "+p+" ") && len(p) > len(word) {
			word = p
		}
	}
	if word == "" || always[word] {
		return word, word != ""
	}
	ends := func(end string) bool { return strings.HasSuffix(name, " "+end+" ") }
	if list[0] == "is" || list[0] == "has" || slices.ContainsFunc(about, ends) {
		return "", false
	}
	return word, true
}

// words divides a name into words in lower case: apiKey and API_KEY have two, eMail1 has "e" and "mail".
func words(name string) (list []string) {
	var word []rune
	end := func() {
		if len(word) > 0 {
			list = append(list, strings.ToLower(string(word)))
		}
		word = nil
	}
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r):
			end()
			continue
		case unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			end()
		}
		word = append(word, r)
	}
	end()
	return list
}
