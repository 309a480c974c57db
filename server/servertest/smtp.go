package servertest

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// smtpTalk is a session of SMTP.
type smtpTalk struct{ *wire }

// hear reads one reply (RFC 5321, section 4.2): one of its lines must match.
func (t *smtpTalk) hear(pattern string) error {
	var all []string
	for {
		text, err := t.read()
		if err != nil {
			return err
		}
		all = append(all, text)
		if len(text) < 4 || text[3] != '-' {
			break
		}
	}
	for _, text := range all {
		if matches(pattern, text) {
			return nil
		}
	}
	return fmt.Errorf("heard %q", strings.Join(all, "\n"))
}

func (t *smtpTalk) login(name, secret string) error {
	return t.say("AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00"+secret)))
}

// smtp HOST DOOR [NAME]
func (s *script) smtp(ts *testscript.TestScript, args []string) error {
	h := s.find(ts, args[0])
	addr := h.Addr(args[1])
	if addr == nil {
		return fmt.Errorf("%s has no door %q", args[0], args[1])
	}
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		return err
	}
	t := &smtpTalk{newWire(conn, &tls.Config{RootCAs: h.Pool(), ServerName: h.Host})}
	s.open(t, args[2:])
	if args[1] == "submissions" {
		if err := t.secure(); err != nil {
			return err
		}
	}
	return t.hear("220 " + h.Host + " *")
}

// send FILE
func (s *script) send(ts *testscript.TestScript, args []string) error {
	t, ok := s.talking(ts).(*smtpTalk)
	if !ok {
		return errors.New("this is no session of SMTP")
	}
	if err := t.say("DATA"); err != nil {
		return err
	}
	if err := t.hear("354 *"); err != nil {
		return err
	}
	text := crlf(ts.ReadFile(args[0]))
	text = strings.ReplaceAll(text, "\r\n.", "\r\n..") // RFC 5321, section 4.5.2
	if strings.HasPrefix(text, ".") {
		text = "." + text
	}
	return t.say(text + ".")
}

// crlf gives a file of a script the line ends of mail.
func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }
