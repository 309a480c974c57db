package servertest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// imapTalk is a session of IMAP.
type imapTalk struct {
	*wire
	tag     string // of the command that was said last
	literal string // heard last
}

func (t *imapTalk) say(text string) error {
	if tag, _, ok := strings.Cut(text, " "); ok {
		t.tag = tag
	}
	return t.wire.say(text)
}

// literalEnd is the announcement of a literal at the end of a line (RFC 9051,
// section 4.3).
var literalEnd = regexp.MustCompile(`\{(\d+)\}$`)

// response reads one response with its literals; in the text they stand as {n}.
func (t *imapTalk) response() (string, error) {
	var all strings.Builder
	for {
		text, err := t.read()
		if err != nil {
			return "", err
		}
		all.WriteString(text)
		m := literalEnd.FindStringSubmatch(text)
		if m == nil {
			return all.String(), nil
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return "", err
		}
		data := make([]byte, n)
		if _, err := io.ReadFull(t.in, data); err != nil {
			return "", err
		}
		t.literal = string(data)
	}
}

// hear passes over responses until one matches. The end of the last command is
// not passed over.
func (t *imapTalk) hear(pattern string) error {
	var passed []string
	for {
		text, err := t.response()
		if err != nil {
			return fmt.Errorf("%w, after %q", err, passed)
		}
		if matches(pattern, text) {
			return nil
		}
		passed = append(passed, text)
		if strings.HasPrefix(text, t.tag+" ") {
			return fmt.Errorf("heard %q", passed)
		}
	}
}

// imap HOST [NAME]
func (s *script) imap(ts *testscript.TestScript, args []string) error {
	h := s.find(ts, args[0])
	addr := h.Addr("imaps")
	if addr == nil {
		return fmt.Errorf("%s has no IMAP", args[0])
	}
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		return err
	}
	t := &imapTalk{wire: newWire(conn, &tls.Config{RootCAs: h.Pool(), ServerName: h.Host})}
	s.open(t, args[1:])
	if err := t.secure(); err != nil {
		return err
	}
	return t.hear("* OK *")
}

func (s *script) imapTalking(ts *testscript.TestScript) (*imapTalk, error) {
	t, ok := s.talking(ts).(*imapTalk)
	if !ok {
		return nil, errors.New("this is no session of IMAP")
	}
	return t, nil
}

// append MAILBOX FILE
func (s *script) append(ts *testscript.TestScript, args []string) error {
	t, err := s.imapTalking(ts)
	if err != nil {
		return err
	}
	text := crlf(ts.ReadFile(args[1]))
	if err := t.say(fmt.Sprintf("append APPEND %s {%d}", args[0], len(text))); err != nil {
		return err
	}
	if err := t.hear("+ *"); err != nil {
		return err
	}
	return t.wire.say(text)
}

// literal equal|ends FILE, literal has|lacks TEXT
func (s *script) literal(ts *testscript.TestScript, args []string) error {
	t, err := s.imapTalking(ts)
	if err != nil {
		return err
	}
	ok := false
	switch args[0] {
	case "equal":
		ok = t.literal == crlf(ts.ReadFile(args[1]))
	case "ends":
		ok = strings.HasSuffix(t.literal, crlf(ts.ReadFile(args[1])))
	case "has":
		ok = strings.Contains(t.literal, strings.Join(args[1:], " "))
	case "lacks":
		ok = !strings.Contains(t.literal, strings.Join(args[1:], " "))
	default:
		return fmt.Errorf("literal %s: equal, ends, has or lacks", args[0])
	}
	if !ok {
		return fmt.Errorf("heard\n%s", t.literal)
	}
	return nil
}
