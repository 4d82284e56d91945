// Threadline answers who changed what, on a terminal: see README.md, beside this file.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
