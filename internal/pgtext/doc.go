// Package pgtext spells texts for PostgreSQL, in statements and in what they
// return, as ASCII: a server and a session may each have another encoding than
// UTF-8, and a session may change its own at any time.
//
// Literals outside ASCII are no option. In SJIS, BIG5 and GBK the second byte of a
// character may be a backslash or a quote, so that bytes of UTF-8 that are read as
// one of these can end a literal early.
package pgtext
