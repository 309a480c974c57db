package message_test

import (
	"strings"
	"testing"
	"time"

	"postern/server/message"
)

// TestReleaseNotice: a whole message that answers the one which was held, in our
// words alone; what an agent wrote as addresses breaks no line.
func TestReleaseNotice(t *testing.T) {
	to, err := message.ParsePath("scout@example.com", true)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := message.ReleaseNotice{From: message.Path{Local: "postmaster", Domain: "example.com"}, To: to, Host: "mail.example.com",
		MessageID: "<n@example.com>", Answers: "<1@example.com>", Time: at, Held: at.Add(-time.Hour), Recipients: []string{"ann@far.example", "bob\r\nBcc: eve@far.example"}}
	text := string(n.Bytes())
	s := message.Parse(strings.NewReader(text), int64(len(text)))
	if s.Envelope.InReplyTo != "<1@example.com>" || s.Envelope.Subject != "Mail was released" || s.FromFields != 1 || s.Defects != 0 || len(s.Envelope.Bcc) != 0 {
		t.Errorf("%+v", s)
	}
	for _, want := range []string{"Auto-Submitted: auto-replied\r\n", "<ann@far.example>\r\n", "(Status 2.7.0.)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if strings.Contains(text, "\r\nBcc") || strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\n") {
		t.Errorf("a line was broken: %q", text)
	}
	n.Answers = "no id\r\nX: y"
	if text := string(n.Bytes()); strings.Contains(text, "In-Reply-To") || strings.Contains(text, "X: y") {
		t.Errorf("%q", text)
	}
}

// TestDecisionReports: a report about what people decided names no server's policy.
func TestDecisionReports(t *testing.T) {
	to, _ := message.ParsePath("scout@example.com", true)
	for _, notice := range []string{message.NoticeRejected, message.NoticeExpired} {
		d := message.DSN{From: to, To: to, ReportingMTA: "mail.example.com", MessageID: "<n@example.com>", Time: time.Unix(1e9, 0), Notice: notice,
			Recipients: []message.DSNRecipient{{Final: to, Action: message.ActionFailed, Status: "5.7.1"}}}
		text := string(d.Bytes())
		if !strings.Contains(text, "waited for approval") || strings.Contains(text, "by its policy") || !strings.Contains(text, "Status: 5.7.1") || strings.Contains(text, "could not be delivered\r\n\r\n") {
			t.Errorf("%s: %s", notice, text)
		}
	}
}
