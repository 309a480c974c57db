package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// noSession asks for the Unix user alone, in place of a file or token.
const noSession = "none"

// found is a session that the command found, and where.
type found struct {
	token string // empty: the Unix user alone
	file  string // empty: it was given as it is
}

// session finds who asks: --session, POSTERN_SESSION, POSTERN_SESSION_FILE, or
// what postern login left for this server. A file that was named and is not there
// is an error: nobody who meant a person acts as somebody else.
func (t *talk) session() (found, error) {
	if t.file == noSession {
		return found{}, nil
	}
	if t.file != "" {
		return readSession(t.file)
	}
	if token := os.Getenv("POSTERN_SESSION"); token == noSession {
		return found{}, nil
	} else if token != "" {
		return found{token: token}, nil
	}
	if file := os.Getenv("POSTERN_SESSION_FILE"); file != "" {
		return readSession(file)
	}
	file := sessionHome()
	b, err := os.ReadFile(file)
	if file == "" || errors.Is(err, fs.ErrNotExist) {
		return found{}, nil
	}
	token, socket, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if err != nil || socket != t.absoluteSocket() {
		return found{}, err // of another server
	}
	return found{token, file}, nil
}

// readSession reads a file that was named: the token is its first line.
func readSession(file string) (found, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return found{}, &failure{status: exitNotFound, err: err, next: "Write it: postern login --admin EMAIL. Without a session: --session none."}
	}
	token, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return found{token, file}, nil
}

// sessionFile is where postern login leaves the session.
func (t *talk) sessionFile() string {
	switch {
	case t.file != "" && t.file != noSession:
		return t.file
	case os.Getenv("POSTERN_SESSION_FILE") != "":
		return os.Getenv("POSTERN_SESSION_FILE")
	}
	return sessionHome()
}

// sessionHome is the file among the user's own, by the XDG Base Directory
// Specification; empty when the user has no home.
func sessionHome() string {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "postern", "session")
}

// keepSession writes a token for the commands that follow, readable to its owner
// alone, with the server that it is of.
func (t *talk) keepSession(file, token string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	next := file + ".new"
	os.Remove(next) // its mode might be wider
	if err := os.WriteFile(next, []byte(token+"\n"+t.absoluteSocket()+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(next, file)
}

func (t *talk) absoluteSocket() string {
	path, err := filepath.Abs(t.socket)
	if err != nil {
		return t.socket
	}
	return path
}
