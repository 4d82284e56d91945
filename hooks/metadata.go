package hooks

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// normalize returns m as every store returns it: encoded as JSON, once, and
// decoded again. The copy shares nothing with m, so that what happens to m
// afterwards changes no event. It refuses what a store cannot hold, or would
// return as something else.
func normalize(m map[string]any) (map[string]any, error) {
	if len(m) == 0 {
		return nil, nil
	}
	doc, err := encode(m)
	if err != nil {
		return nil, err
	}
	if len(doc) > MaxMetadata {
		return nil, tooLong("metadata", len(doc), MaxMetadata)
	}
	if replaced(doc) {
		if at, found := invalidText("metadata", reflect.ValueOf(m)); found {
			return nil, &InvalidError{at, "is not valid UTF-8"}
		}
	}
	r := reader{doc: doc}
	copied, invalid := r.object(1)
	if invalid != nil {
		invalid.Field = "metadata" + invalid.Field
		return nil, invalid
	}
	if n := len(doc) + r.longer + unescaped(doc); n > MaxMetadata {
		return nil, tooLong("metadata", n, MaxMetadata)
	}
	return copied, nil
}

// unescaped is by how many bytes doc is longer once its copy is encoded: encoding/json escapes
// U+2028 and U+2029 always, and a json.Marshaler need not have.
func unescaped(doc []byte) int {
	n := 0
	for _, c := range []string{"\u2028", "\u2029"} {
		n += bytes.Count(doc, []byte(c)) * (len(`\uXXXX`) - len(c))
	}
	return n
}

func encode(m map[string]any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // stores do not, so it must not count
	if err := enc.Encode(m); err != nil {
		return nil, culprit("metadata", m, MaxDepth)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// culprit finds the value that cannot be encoded. It looks no deeper than levels,
// because a map may contain itself.
func culprit(path string, v any, levels int) error {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if err := culpritAt(path+step(k), v[k], levels); err != nil {
				return err
			}
		}
	case []any:
		for i, w := range v {
			if err := culpritAt(path+"["+strconv.Itoa(i)+"]", w, levels); err != nil {
				return err
			}
		}
	}
	_, err := json.Marshal(v)
	return &InvalidError{path, "is not JSON: " + err.Error()}
}

// culpritAt is nil if v can be encoded.
func culpritAt(path string, v any, levels int) error {
	if _, err := json.Marshal(v); err == nil {
		return nil
	} else if levels == 0 {
		return &InvalidError{path, "is not JSON: " + err.Error()}
	}
	return culprit(path, v, levels-1)
}

// step is a key as part of a path.
func step(key string) string {
	if quoted := strconv.Quote(key); quoted != `"`+key+`"` {
		return "." + quoted
	}
	return "." + key
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// replaced reports whether the encoder may have replaced bytes that are not UTF-8:
// by the escape \ufffd, or from Go 1.27 by the character itself.
func replaced(doc []byte) bool {
	return bytes.Contains(doc, []byte(`\ufffd`)) || bytes.ContainsRune(doc, utf8.RuneError)
}

// invalidText finds a text with bytes that json.Marshal has replaced. A character
// U+FFFD that was there before is valid, and what a json.Marshaler has written is
// its own.
func invalidText(path string, v reflect.Value) (at string, found bool) {
	switch {
	case !v.IsValid() || v.Type().Implements(jsonMarshaler) || reflect.PointerTo(v.Type()).Implements(jsonMarshaler):
		return "", false
	case v.Type().Implements(textMarshaler) && v.CanInterface():
		return path, !validMarshaler(v)
	}
	switch v.Kind() {
	case reflect.String:
		return path, !utf8.ValidString(v.String())
	case reflect.Pointer, reflect.Interface:
		return invalidText(path, v.Elem())
	case reflect.Slice, reflect.Array:
		return invalidElement(path, v)
	case reflect.Map:
		return invalidEntry(path, v)
	case reflect.Struct:
		return invalidField(path, v)
	}
	return "", false
}

func validMarshaler(v reflect.Value) bool {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return true
	}
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	return err != nil || utf8.Valid(text)
}

func invalidElement(path string, v reflect.Value) (at string, found bool) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return "", false // base64, or numbers
	}
	for i := range v.Len() {
		if at, found = invalidText(path+"["+strconv.Itoa(i)+"]", v.Index(i)); found {
			return at, true
		}
	}
	return "", false
}

func invalidEntry(path string, v reflect.Value) (at string, found bool) {
	for _, k := range v.MapKeys() {
		name := path + step(fmt.Sprint(k))
		if _, found = invalidText(name, k); found {
			return name, true
		}
		if at, found = invalidText(name, v.MapIndex(k)); found {
			return at, true
		}
	}
	return "", false
}

func invalidField(path string, v reflect.Value) (at string, found bool) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if at, found = invalidText(path+step(name), v.Field(i)); found {
			return at, true
		}
	}
	return "", false
}

var secretNames = []string{
	"password", "passwd", "passphrase", "pwd", "secret", "secretkey", "token", "apikey",
	"accesskey", "privatekey", "authorization", "cookie", "credential", "credentials",
	"cvv", "cvc", "otp", "pincode",
}

var separators = strings.NewReplacer("_", "", "-", "", " ", "", ".", "")

// IsSecret reports whether a metadata key names something that must not be
// stored: a name such as "password" or "api_key", or one that ends in it, as
// "new_password" or "accessToken" do. Case, spaces and the characters - _ . do not
// matter, except for names of three letters, which must be a word: "user_otp" and
// "dbPwd" are secrets, "hotp" is not.
func IsSecret(key string) bool {
	plain, last := strings.ToLower(separators.Replace(key)), strings.ToLower(lastWord(key))
	for _, name := range secretNames {
		switch {
		case plain == name, last == name:
			return true
		case len(name) > 3 && strings.HasSuffix(plain, name):
			return true
		}
	}
	return false
}

// lastWord returns what follows the last separator in key, or the last step from
// one word to the next in camelCase.
func lastWord(key string) string {
	separates := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	letters := []rune(strings.TrimRightFunc(key, separates))
	for i := len(letters) - 1; i > 0; i-- {
		before, at := letters[i-1], letters[i]
		switch {
		case separates(before):
			return string(letters[i:])
		case unicode.IsUpper(at) && !unicode.IsUpper(before):
			return string(letters[i:])
		case unicode.IsUpper(before) && unicode.IsUpper(at) && i+1 < len(letters) && unicode.IsLower(letters[i+1]):
			return string(letters[i:]) // the P in DBPwd
		}
	}
	return string(letters)
}
