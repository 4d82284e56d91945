package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/lib/pq"
	"modernc.org/sqlite"
)

// unreachable is the error of a database that gives no connection, with what to do. It quotes no password: those of the drivers do not.
func unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &failure{exitUnreachable, fmt.Errorf("the server did not answer within %s: do the host and the port lead to it, and does a firewall let this machine through?", patience)}
	}
	hint := refusal(err)
	if hint == "" {
		hint = network(err)
	}
	if hint == "" {
		hint = "is the server running, and do the host and the port lead to it?"
	}
	return &failure{exitUnreachable, fmt.Errorf("no connection: %w: %s", err, hint)}
}

// refusal says what to do about what a database answers instead, "" if that is not known.
func refusal(err error) string {
	var file *sqlite.Error
	var server *pq.Error
	switch {
	case errors.As(err, &file):
		return sqliteHints[file.Code()&0xff]
	case !errors.As(err, &server):
		return ""
	case strings.Contains(server.Message, "pg_hba.conf"): // the name is in the message in each language
		if strings.Contains(server.Message, "no encryption") || strings.Contains(server.Message, "SSL off") {
			return "the server may want TLS: use sslmode=require; else its administrator has to add an entry for this host, user and database"
		}
		return "the server's administrator has to add an entry for this host, user and database"
	case server.Code == "42501":
		return "the role may not connect to this database: its owner has to GRANT CONNECT ON DATABASE"
	case server.Code == "3D000":
		return "check the name of the database"
	case server.Code.Class() == "28":
		return "check the user, and the password in PGPASSWORD or ~/.pgpass"
	case server.Code.Class() == "53":
		return "try again when others have closed theirs, or raise the limit"
	case server.Code.Class() == "57":
		return "the server is starting or stopping: try again in a moment"
	}
	return ""
}

// sqliteHints say what to do about SQLite's result codes.
var sqliteHints = map[int]string{
	5:  "another program is writing to the file: try again when it has finished",
	6:  "another program is writing to the file: try again when it has finished",
	8:  "this user may not write to the file, or to its folder",
	13: "the disk is full",
	14: "is it a folder, or may this user not read it?",
	23: "this user may not read the file",
	26: "the file is no SQLite database: check its name",
}

// network says what to do about what lies between this machine and a server, "" if that is not known.
func network(err error) string {
	var name *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, pq.ErrSSLNotSupported):
		return "if the way to it is safe without, add sslmode=disable, as in postgres://localhost/shop?sslmode=disable, or set PGSSLMODE=disable"
	case errors.As(err, &authority):
		return "name the file with its authority's certificate in sslrootcert, or do not check it, with sslmode=require"
	case errors.As(err, &host):
		return "name the host as the certificate does, or check only its authority, with sslmode=verify-ca"
	case errors.As(err, &certificate):
		return "check the server's certificate, and the clocks"
	case errors.As(err, &name):
		return "check the name of the host"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: is the server running, and are the host and the port right?"
	case errors.Is(err, fs.ErrNotExist):
		return "no server has its socket there: check the folder and the port, or name a host"
	}
	return ""
}
