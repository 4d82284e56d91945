package cli

import (
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is what "threadline version" prints as JSON.
type Version struct {
	Version string `json:"version"` // "(devel)" for a program that was built from a working copy
	Go      string `json:"go"`
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := Version{Version: "unknown"}
			if info, ok := debug.ReadBuildInfo(); ok {
				v = Version{info.Main.Version, info.GoVersion}
			}
			if a.json {
				return a.print(v)
			}
			a.screen.Printf("threadline %s, built with %s\n", v.Version, v.Go)
			return nil
		},
	}
}
