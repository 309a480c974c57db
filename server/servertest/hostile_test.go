package servertest_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"postern/server/servertest"
)

// nested is a multipart in a multipart, n deep, none of which ends.
func nested(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return b.String()
}

// many are n fields.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-%d: y\r\n", i)
	}
	return b.String()
}

// hostileMail is mail that made other servers fall: what port 25 answers.
func hostileMail() []struct{ name, mail, reply string } {
	head := "From: a@sender.test\r\nTo: scout@alpha.test\r\n"
	return []struct{ name, mail, reply string }{
		{"nothing at all", "", "250"},
		{"a blank line", "\r\n", "250"},
		{"no header", "\r\n\r\nhello\r\n", "250"},
		{"no body", head, "250"},
		{"no field", "\x01\x02\x7f\xff\xfe\r\n\xfe:\r\n \r\n\x80\r\n", "250"},
		{"a multipart without parts", head + "Content-Type: multipart/mixed; boundary=x\r\n\r\nno parts\r\n", "250"},
		{"a multipart without a boundary", head + "Content-Type: multipart/mixed\r\n\r\nno parts\r\n", "250"},
		{"10,000 nested multiparts", head + nested(10_000), "250"},
		{"5,000 nested messages", head + strings.Repeat("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n", 5_000), "250"},
		{"10,000 parts", head + "Content-Type: multipart/mixed; boundary=x\r\n\r\n" + strings.Repeat("--x\r\n\r\ny\r\n", 10_000), "250"},
		{"20 MB of one line", head + "\r\n" + strings.Repeat("x", 20<<20) + "\r\n", "250"},
		{"a field of 200 KB", head + "X: " + strings.Repeat("y", 200_000) + "\r\n\r\nx\r\n", "250"},
		{"50,000 folds of a field", head + "X: y\r\n" + strings.Repeat(" \r\n", 50_000) + "\r\nx\r\n", "250"},
		{"50,000 comments", "From: " + strings.Repeat("(", 50_000) + "\r\n\r\nx\r\n", "250"},
		{"5,000 parameters", head + "Content-Type: text/plain" + strings.Repeat(";\r\n p=v", 5_000) + "\r\n\r\nx\r\n", "250"},
		{"10,000 encoded words", head + "Subject: " + strings.Repeat("=?utf-8?q?a?= ", 10_000) + "\r\n\r\nx\r\n", "250"},
		{"bad base64", head + "Content-Transfer-Encoding: base64\r\n\r\n@@@====\r\n", "250"},
		{"literals in fields", "From: a@sender.test\r\nSubject: {3+}\r\nMessage-ID: <x\"y{3}>\r\nContent-Type: te\"xt/pl(ain; na\"me=\"\r\n\r\nx\r\n", "250"},
		{"dots", head + "\r\n.\r\n..\r\n.x\r\n", "250"},
		{"thousands of fields", head + many(3_000) + "\r\nx\r\n", "552 5.3.4"},
		{"a hundred thousand fields", head + many(100_000) + "\r\nx\r\n", "552 5.3.4"},
		{"a header of 1 MB", head + "X: " + strings.Repeat("y", 1<<20) + "\r\n\r\nx\r\n", "552 5.3.4"},
		{"several From fields", "From: a@sender.test\r\n" + head + "\r\nx\r\n", "550 5.6.0"},
		{"a loop", strings.Repeat("Received: by x\r\n", 200) + head + "\r\nx\r\n", "554 5.4.6"},
		{"a bare LF", head + "\r\na\nb\r\n", "550 5.6.0"},
		{"a bare CR", head + "\r\na\rb\r\n", "550 5.6.0"},
		{"NUL", head + "\r\na\x00b\r\n", "550 5.6.0"},
	}
}

// TestHostileMail: mail that cannot be parsed, or that is built to be dear, is
// stored byte for byte and answers to every FETCH, or is refused with a reason; and
// the session goes on in both cases.
func TestHostileMail(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	sender := smtp(t, p)
	var taken []string
	for _, m := range hostileMail() {
		if got := sender.send("scout@alpha.test", m.mail); !strings.HasPrefix(got, m.reply) {
			t.Errorf("%s: %s, want %s", m.name, got, m.reply)
		} else if m.reply == "250" {
			taken = append(taken, m.mail)
		}
	}
	reader := imap(t, p, p.Agents["scout"])
	if data := reader.want("OK", "SELECT INBOX"); !bytes.Contains(data, fmt.Appendf(nil, "* %d EXISTS", len(taken))) {
		t.Fatalf("%d messages were taken, and INBOX says %s", len(taken), data)
	}
	for i, mail := range taken {
		if data := reader.want("OK", fmt.Sprintf("FETCH %d BODY.PEEK[]", i+1)); !bytes.HasSuffix(data, []byte(mail+")\r\n")) {
			t.Errorf("message %d is not what was sent: %.500q", i+1, data)
		}
		for _, item := range []string{"FLAGS", "ENVELOPE", "BODYSTRUCTURE", "BODY", "ALL", "FULL", "RFC822.HEADER", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]<1.10>", "BODY.PEEK[1]<0.9>",
			"BODY.PEEK[1.MIME]", "BODY.PEEK[1.1.HEADER]", "BODY.PEEK[HEADER.FIELDS (SUBJECT X-1)]", "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)]", "BINARY.SIZE[1]"} {
			if data := reader.want("OK", fmt.Sprintf("FETCH %d %s", i+1, item)); !bytes.HasPrefix(data, fmt.Appendf(nil, "* %d FETCH (", i+1)) {
				t.Errorf("message %d, %s: %.200q", i+1, item, data)
			}
		}
	}
	for _, key := range []string{"TEXT nowhere", "BODY nowhere", "SUBJECT nowhere", "HEADER X-1 nowhere", "FROM nowhere", "SENTSINCE 1-Jan-2020"} {
		if data := reader.want("OK", "SEARCH "+key); string(data) != "* SEARCH\r\n" {
			t.Errorf("SEARCH %s: %q", key, data)
		}
	}
}
