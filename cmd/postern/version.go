package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"postern/server"
)

func versionCommand(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program", Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{server.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if t.format != asTable {
				return t.encode(v)
			}
			_, err := fmt.Fprintf(t.out, "postern %s %s %s/%s\n", v.Version, v.Go, v.OS, v.Arch)
			return err
		},
	}
}
