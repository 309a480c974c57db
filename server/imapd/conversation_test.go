package imapd

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"
)

// TestConversations plays the files of testdata/guard against the library behind a guard, over TLS. Each promise of the
// guard, and each trap of the library that it covers, is one file. A line starts with
//
//	>   what the client sends, with CR LF
//	>>  the same as a quoted Go string, and nothing added
//	<   what the client gets; "…" stands for anything
//	!   the next call that the session must have seen; the file lists all of them
//	.   the server closes the connection
//	#   a remark
//
// and {{x N}} stands for N times the letter x, {{rep N `text`}} for any text.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/guard/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			converse(t, file)
		})
	}
}

func converse(t *testing.T, file string) {
	limits := DefaultLimits()
	limits.Message = 100_000
	limits.Logins = 3
	limits.Mistakes = 5
	h := newHouse(t, limits, nil)
	conn := h.dial(t)
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(conn)
	session := <-h.last
	calls := 0
	for i, line := range script(t, file) {
		verb, rest, _ := strings.Cut(line, " ")
		var err error
		switch verb {
		case "", "#":
		case ">":
			_, err = io.WriteString(conn, rest+"\r\n")
		case ">>":
			var raw string
			if raw, err = strconv.Unquote(rest); err == nil {
				_, err = io.WriteString(conn, raw)
			}
		case "<":
			got, rerr := r.ReadString('\n')
			if err = rerr; err == nil && !alike(rest, strings.TrimSuffix(got, "\r\n")) {
				t.Fatalf("%s:%d:\n got %q\nwant %q", file, i+1, got, rest)
			}
		case "!":
			noted := session.notedAt(calls)
			if calls >= len(noted) || noted[calls] != rest {
				t.Fatalf("%s:%d: the session saw %q, want %q at %d", file, i+1, noted, rest, calls)
			}
			calls++
		case ".":
			if got, err := io.ReadAll(r); err != nil || len(got) > 0 {
				t.Fatalf("%s:%d: want the end, got %q, %v", file, i+1, got, err)
			}
		default:
			t.Fatalf("%s:%d: %q", file, i+1, line)
		}
		if err != nil {
			t.Fatalf("%s:%d: %v", file, i+1, err)
		}
	}
	finish(t, conn, r)
	h.alive.Wait()
	if noted := session.noted(); len(noted) != calls {
		t.Errorf("%s: the session also saw %q", file, noted[calls:])
	}
}

// finish ends the connection and waits for the server to have let go, so that nothing is still running unseen.
func finish(t *testing.T, conn *tls.Conn, r io.Reader) {
	t.Helper()
	conn.CloseWrite()
	rest, _ := io.ReadAll(r) // an error: the server has closed first
	if bytes.Contains(rest, []byte(" OK ")) || bytes.Contains(rest, []byte(" NO ")) {
		t.Errorf("replies nobody waited for: %q", rest)
	}
}

func script(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := template.New("").Funcs(template.FuncMap{
		"x":   func(n int) string { return strings.Repeat("x", n) },
		"rep": func(n int, s string) string { return strings.Repeat(s, n) },
	})
	var sb strings.Builder
	if err := template.Must(tmpl.Parse(string(b))).Execute(&sb, nil); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(sb.String(), "\n"), "\n")
}

func alike(pattern, s string) bool {
	re := strings.ReplaceAll(regexp.QuoteMeta(pattern), "…", ".*")
	return regexp.MustCompile("^" + re + "$").MatchString(s)
}
