package pgtext

import (
	"database/sql"
	"encoding/hex"
	"fmt"
)

// SQLASCII is the encoding of servers that store any bytes.
const SQLASCII = "SQL_ASCII"

// Hex returns an expression of a text's UTF-8 as hex digits, to be scanned by
// [Scanner]. bytea would depend on bytea_output. raw says that the server's
// encoding is SQLASCII.
func Hex(text string, raw bool) string {
	encoding := "'UTF8'"
	if raw {
		encoding = "'" + SQLASCII + "'" // as it is
	}
	return hexIn(text, encoding)
}

// HexAnywhere is [Hex] for a server whose encoding is not known.
func HexAnywhere(text string) string {
	return hexIn(text, "CASE pg_catalog.getdatabaseencoding() WHEN '"+SQLASCII+"' THEN '"+SQLASCII+"' ELSE 'UTF8' END")
}

func hexIn(text, encoding string) string {
	return "pg_catalog.encode(pg_catalog.convert_to(" + text + ", " + encoding + "), 'hex')"
}

// Scanner returns what scans the digits of [Hex] into dst; null is "".
func Scanner(dst *string) sql.Scanner { return scanner{dst} }

type scanner struct{ dst *string }

// Scan implements sql.Scanner.
func (s scanner) Scan(src any) error {
	var digits []byte
	switch v := src.(type) {
	case nil:
	case string:
		digits = []byte(v)
	case []byte:
		digits = v
	default:
		return fmt.Errorf("hex digits read as %T", src)
	}
	text := make([]byte, hex.DecodedLen(len(digits)))
	_, err := hex.Decode(text, digits)
	*s.dst = string(text)
	return err
}
