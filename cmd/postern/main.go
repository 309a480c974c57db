// Command postern is Postern's one binary: the server, the laboratory, and the
// command line of its administrators.
//
// Commands only talk. They read flags, ask the running server at its control
// socket (package control) or, where no server is needed, a package below, and
// word the answer: tables for people, -o json or jsonl with stable names for
// programs. Data goes to standard output, talk to standard error. The exit
// status says how it ended; exit.go has the list. Each noun has a file.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends what does not want to end
	terminal := isatty.IsTerminal(os.Stdout.Fd())
	os.Exit(run(ctx, os.Args[1:], &talk{in: os.Stdin, out: os.Stdout, err: os.Stderr, bold: terminal && os.Getenv("NO_COLOR") == ""}))
}

// talk is what a command reads and writes, and whom it asks.
type talk struct {
	in   io.Reader
	out  io.Writer // data
	err  io.Writer // everything else
	bold bool      // out is a terminal that may show it

	socket string // of the server
	file   string // with the session of who asks: --session
	format string // table, json, jsonl
}

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string, t *talk) int {
	root := newRoot(t)
	root.SetArgs(args)
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	return t.report(root.ExecuteContext(ctx))
}
