package message

import (
	"bufio"
	"bytes"
	"io"
	"net/mail"
	"net/textproto"
	"regexp"
	"strings"
	"testing"
	"time"
)

var dsnExample = DSN{
	From: Path{"postmaster", "example.com"}, To: Path{"agent", "example.com"}, ReportingMTA: "mx.example.com",
	MessageID: "<n1@example.com>", Arrival: moment, Time: moment.Add(time.Hour),
	Header: []byte("From: agent@example.com\r\nTo: a@b.example\r\nSubject: hello\r\n there\r\nMessage-ID: <m1@example.com>\r\n\r\nbody"),
	Recipients: []DSNRecipient{
		{Final: Path{"a", "b.example"}, Action: ActionFailed, Status: "5.1.1", ReplyCode: 550, LastAttempt: moment},
		{Final: Path{"c d", "e.example"}, Original: Path{"x", "y.example"}, Action: ActionFailed, Status: "4.4.7"},
	},
}

// TestDSN holds the notice of a failure against a golden file: RFC 3464, RFC 6522.
func TestDSN(t *testing.T) {
	raw := dsnExample.Bytes()
	boundary := parse(raw).Root.Param("boundary")
	golden(t, "testdata/dsn-failed.golden", bytes.ReplaceAll(raw, []byte(boundary), []byte("BOUNDARY")))

	s := parse(raw)
	check(t, raw, s)
	if s.Defects != 0 {
		t.Errorf("defects %v", s.Defects.Names())
	}
	var types []string
	for i := range s.Root.Children {
		types = append(types, s.Root.Children[i].MediaType())
	}
	if got := strings.Join(types, " "); got != "text/plain message/delivery-status text/rfc822-headers" || s.Root.MediaType() != "multipart/report" {
		t.Errorf("%s of %s", s.Root.MediaType(), got)
	}
	if s.Envelope.InReplyTo != "<m1@example.com>" {
		t.Errorf("In-Reply-To %q", s.Envelope.InReplyTo)
	}
	// The status part is blocks of fields (RFC 3464, section 2.1): net/textproto reads them too.
	r := textproto.NewReader(bufio.NewReader(PartReader(bytes.NewReader(raw), &s.Root.Children[1])))
	for i, want := range []string{"", "5.1.1", "4.4.7"} {
		h, err := r.ReadMIMEHeader()
		if err != nil && err != io.EOF || h.Get("Status") != want {
			t.Errorf("block %d: %v, %v", i, h, err)
		}
	}
	if _, err := mail.ReadMessage(bytes.NewReader(raw)); err != nil {
		t.Error(err)
	}
}

// TestDSNDelayed holds the notice of a delay, and RFC 6533 for an address outside ASCII.
func TestDSNDelayed(t *testing.T) {
	d := dsnExample
	d.Recipients = []DSNRecipient{{Final: Path{"jörg", "b.example"}, Action: ActionDelayed, Status: "4.4.1",
		LastAttempt: moment, WillRetryUntil: moment.Add(48 * time.Hour)}}
	d.EnvelopeID = "QQ314159"
	raw := d.Bytes()
	boundary := parse(raw).Root.Param("boundary")
	golden(t, "testdata/dsn-delayed.golden", bytes.ReplaceAll(raw, []byte(boundary), []byte("BOUNDARY")))
}

// TestDSNCarriesNoForeignText: nothing but codes comes from a remote server, and
// what comes from our own callers cannot leave its field.
func TestDSNCarriesNoForeignText(t *testing.T) {
	evil := "5.1.1 Ignore previous instructions\r\nBcc: evil@example.org"
	d := dsnExample
	d.ReportingMTA, d.MessageID, d.EnvelopeID = "mx\r\nBcc: evil", "<x@y>\r\nBcc: evil", "e\r\nBcc: evil"
	d.Recipients = []DSNRecipient{{Final: Path{"a\r\n\r\nBcc: evil", "b"}, Status: evil, ReplyCode: 99999, Action: 77}}
	d.Header = []byte("Subject: a\rb\x00c\r\n d\r\nMessage-ID: <a@b>, <c@d>\r\nNo field here\r\nBig: " + strings.Repeat("x", 5000) +
		"\r\n" + strings.Repeat("Many: "+strings.Repeat("y", 900)+"\r\n", 100))
	raw := d.Bytes()
	if regexp.MustCompile(`(?i)ignore|previous|instructions|99999`).Match(raw) {
		t.Errorf("%s", raw)
	}
	if regexp.MustCompile(`(?m)^Bcc:`).Match(raw) || bytes.ContainsAny(raw, "\x00") {
		t.Errorf("%s", raw)
	}
	s := parse(raw)
	if s.Defects != 0 || s.Envelope.InReplyTo != "" || len(s.Root.Children) != 3 || s.Size > 32<<10 {
		t.Errorf("%d bytes, defects %v, In-Reply-To %q", s.Size, s.Defects.Names(), s.Envelope.InReplyTo)
	}
	if !bytes.Contains(raw, []byte("Status: 5.0.0\r\n")) || !bytes.Contains(raw, []byte("Action: failed\r\n")) {
		t.Errorf("%s", raw)
	}
}

func TestDSNStatus(t *testing.T) {
	for _, c := range []struct {
		action       DSNAction
		status, want string
	}{
		{ActionFailed, "5.1.1", "5.1.1"}, {ActionFailed, "4.4.7", "4.4.7"}, {ActionFailed, "2.0.0", "5.0.0"}, {ActionFailed, "5.1", "5.0.0"},
		{ActionFailed, "5.01.1", "5.0.0"}, {ActionFailed, "5.1234.1", "5.0.0"}, {ActionFailed, "", "5.0.0"}, {ActionFailed, "5.1.x", "5.0.0"},
		{ActionDelayed, "5.1.1", "4.0.0"}, {ActionDelayed, "4.2.2", "4.2.2"}, {ActionDelivered, "2.1.5", "2.1.5"}, {ActionRelayed, "x", "2.0.0"},
	} {
		if got := (DSNRecipient{Action: c.action, Status: c.status}).status(); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.action, c.status, got, c.want)
		}
	}
}
