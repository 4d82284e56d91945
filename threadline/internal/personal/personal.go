// Package personal knows from the names of columns which may have personal data or secrets.
package personal

import (
	"strings"
	"unicode"
)

// known are words in the names of columns with personal data or secrets. Several words have to follow each other.
var known = []string{
	// Secrets.
	"password", "passwd", "pwd", "passphrase", "passcode", "secret", "token", "api key", "apikey", "access key", "private key", "credential", "credentials",
	"salt", "otp", "totp", "mfa", "recovery code", "recovery codes", "session key", "cookie", "csrf", "refresh token", "client secret", "webhook secret", "pin",
	// Payment.
	"card", "card number", "cc number", "ccnumber", "pan", "cvc", "cvv", "iban", "bic", "account number", "routing number", "sort code",
	// People.
	"email", "mail", "phone", "mobile", "telephone", "fax", "first name", "firstname", "last name", "lastname", "surname", "full name", "fullname", "maiden name",
	"birth", "birthday", "birthdate", "dob", "born", "gender", "sex", "ethnicity", "religion", "nationality", "marital",
	"address", "street", "zip", "zipcode", "postcode", "postal code", "latitude", "longitude", "ip", "ip address",
	"ssn", "social security", "sin", "nino", "tin", "tax id", "taxid", "passport", "license number", "licence number", "driver license", "national id",
	"diagnosis", "medical", "health", "blood", "salary", "income", "biometric", "fingerprint",
}

// Looks reports whether a column's name has a word that suggests personal data or a secret, and returns the longest such word.
// Words end before a capital, and at anything that is not a letter: card_number and cardNumber are "card number", but
// CARDNUMBER2 is "cardnumber", and only found if the list has that, too.
func Looks(column string) (word string, is bool) {
	name := " " + strings.Join(words(column), " ") + " "
	for _, p := range known {
		if strings.Contains(name, " "+p+" ") && len(p) > len(word) {
			word = p
		}
	}
	return word, word != ""
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
