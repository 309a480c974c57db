package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxAnswer bounds what is read of a password's file or an answer.
const maxAnswer = 4 << 10

// secret finds a secret in a variable, in the file that VARIABLE_FILE names, or
// asks for it on a terminal, without echo; twice when it is new.
func (t *talk) secret(variable, what string, fresh bool) (string, error) {
	if text := os.Getenv(variable); text != "" {
		return text, nil
	}
	if path := os.Getenv(variable + "_FILE"); path != "" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		return firstLine(f)
	}
	in, ok := t.terminal()
	if !ok {
		return "", usage("there is no terminal to ask for the %s: set %s or %s_FILE", what, variable, variable)
	}
	first, err := t.hidden(in, what)
	if err != nil || !fresh {
		return first, err
	}
	again, err := t.hidden(in, what+" again")
	if err == nil && again != first {
		err = usage("these were two different passwords")
	}
	return first, err
}

// hidden asks without echo.
func (t *talk) hidden(in *os.File, what string) (string, error) {
	fmt.Fprintf(t.err, "%s: ", strings.ToUpper(what[:1])+what[1:])
	b, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(t.err)
	return string(b), err
}

// ask asks on a terminal; where there is none the answer is empty.
func (t *talk) ask(what string) (string, error) {
	in, ok := t.terminal()
	if !ok {
		return "", nil
	}
	fmt.Fprintf(t.err, "%s: ", what)
	return firstLine(in)
}

// terminal is the standard input, if a person sits there.
func (t *talk) terminal() (*os.File, bool) {
	in, ok := t.in.(*os.File)
	return in, ok && term.IsTerminal(int(in.Fd()))
}

// firstLine reads one line.
func firstLine(r io.Reader) (string, error) {
	text, err := bufio.NewReader(io.LimitReader(r, maxAnswer)).ReadString('\n')
	if err == io.EOF {
		err = nil
	}
	return strings.TrimRight(text, "\r\n"), err
}
