package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

func (a *app) incident() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "incident WORD... --out FILE",
		Short: "Write all that is known around what a search finds into a file",
		Long: `incident writes a file to keep: each transaction of which a search finds something, with
who made it and all that it did; where the histories of the tables involved are broken;
and what is not known. Each line is a JSON document; the last one has the SHA-256 of the
lines above it.`,
		Example: `  threadline incident correlation:c-7 --out c-7.ndjson
  head -n -1 c-7.ndjson | sha256sum`,
		Args: atLeast("what to search for"),
		RunE: func(cmd *cobra.Command, args []string) error {
			terms, err := a.terms(args)
			if err != nil {
				return err
			}
			q, err := terms.Trail(a.now)
			if err != nil {
				return pointed(err, terms.String())
			}
			end := &trail.End{}
			err = a.with(cmd.Context(), func(t *target) (err error) {
				reader, err := a.trail(cmd.Context(), t)
				if err != nil {
					return err
				}
				return writeNew(file, a.out, func(w io.Writer) (err error) {
					end, err = reader.WriteBundle(cmd.Context(), w, q)
					return pointed(terms.Explain(err), terms.String())
				})
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(a.err, "%s, %s, %s; %s not known\n", count(end.Transactions, "transaction"), count(end.Actions, "action"), count(end.Changes, "row change"), count(end.Unknown, "thing"))
			if !end.Complete {
				fmt.Fprintf(a.err, "The file is not complete: there are more than %d transactions. Limit the search with after: and before:\n", trail.MaxTransactions)
				return errFound
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "out", "-", `the file, which must not exist yet; "-" is stdout`)
	return cmd
}

// writeNew calls f with a new file that only its owner can read, or with out for "-". If f fails, there is no file.
func writeNew(name string, out io.Writer, f func(io.Writer) error) (err error) {
	if name == "-" {
		return f(out)
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return usage("--out: %w", err)
	}
	if err = errors.Join(f(file), file.Sync(), file.Close()); err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}
