package message

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var moment = time.Date(2025, 6, 2, 10, 11, 12, 0, time.UTC)

func TestReceived(t *testing.T) {
	r := Received{Helo: "mail.example.org", Addr: netip.MustParseAddr("192.0.2.1"), By: "mx.example.com", With: "ESMTPS",
		TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", ID: "0192f3c1", For: Path{"a b", "example.com"}, Time: moment}
	want := "Received: from mail.example.org ([192.0.2.1]) by mx.example.com with ESMTPS\r\n" +
		" (TLS1.3 TLS_AES_128_GCM_SHA256) id 0192f3c1 for <\"a b\"@example.com>; Mon, 02\r\n Jun 2025 10:11:12 +0000\r\n"
	if got := string(r.Append(nil)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for name, r := range map[string]Received{
		"from unknown ([IPv6:2001:db8::1]) by": {Helo: "x\r\nFrom: evil", Addr: netip.MustParseAddr("2001:db8::1%eth0"), By: "b", With: "w", ID: "i"},
		"from [192.0.2.9] ([192.0.2.1]) by":    {Helo: "[192.0.2.9]", Addr: netip.MustParseAddr("::ffff:192.0.2.1"), By: "b", With: "w", ID: "i"},
		"Received: by b with w id i;":          {By: "b\r\n", With: "w;", ID: "(i)"},
		"by unknown with unknown (x) id":       {TLS: "(x)\n"},
	} {
		got := string(r.Append(nil))
		if !strings.Contains(got, name) || strings.Count(got, "\n") != strings.Count(strings.TrimSpace(got), "\r\n ")+1 {
			t.Errorf("%q, want %q in it", got, name)
		}
	}
}

// FuzzAppendField: whatever the value, it is one field with the same words.
func FuzzAppendField(f *testing.F) {
	f.Add("a value\r\nBcc: x@y.example\r\n\r\nbody")
	f.Add(strings.Repeat("ü", 3000))
	f.Add(strings.Repeat("word ", 100))
	f.Add("\xff\x85\u0085")
	f.Fuzz(func(t *testing.T, value string) {
		b := AppendField([]byte("Before: x\r\n"), "Subject", value)
		b = append(b, "After: y\r\n\r\n"...)
		var names []string
		for f := range Fields(b) {
			names = append(names, string(f.Name))
		}
		if strings.Join(names, " ") != "Before Subject After" {
			t.Fatalf("%q", b)
		}
		s := parse(b)
		if s.Defects != 0 || s.Header.Len() != int64(len(b)) {
			t.Fatalf("%q: %v", b, s.Defects.Names())
		}
		for line := range bytes.SplitSeq(b, []byte("\r\n")) {
			if len(line) > 998 || len(line) > lineLength && bytes.Count(bytes.TrimLeft(line, " "), []byte(" ")) > 1 {
				t.Fatalf("line of %d bytes: %q", len(line), line)
			}
		}
	})
}

func TestReturnPath(t *testing.T) {
	if got := string(AppendReturnPath(nil, Path{})); got != "Return-Path: <>\r\n" {
		t.Errorf("%q", got)
	}
	if got := string(AppendReturnPath(nil, Path{"a b", "c.example"})); got != "Return-Path: <\"a b\"@c.example>\r\n" {
		t.Errorf("%q", got)
	}
}

// TestComplete: RFC 6409, sections 8.2 and 8.3.
func TestComplete(t *testing.T) {
	b := Complete([]byte("Subject: x\r\nDATE: y\r\n\r\nMessage-ID: not a field\r\n"), "Bücher.example", moment)
	id, ok := Lookup(b, "message-id")
	if !ok || !strings.HasSuffix(id, "@xn--bcher-kva.example>") || originalID(b) != id {
		t.Errorf("%q", b)
	}
	if _, ok := Lookup(b, "date"); ok {
		t.Errorf("a second Date: %q", b)
	}
	if b = Complete([]byte("Subject: x\r\nMessage-ID: <a@b>\r\n"), "x", moment); string(b) != "Date: Mon, 02 Jun 2025 10:11:12 +0000\r\n" {
		t.Errorf("%q", b)
	}
	if a, b := NewMessageID("a.example"), NewMessageID("a.example"); a == b {
		t.Error("equal Message-IDs")
	}
	if id := NewMessageID("a\r\nb"); strings.ContainsAny(id, "\r\n") {
		t.Errorf("%q", id)
	}
}

func TestAutoSubmitted(t *testing.T) {
	for header, want := range map[string]string{"Auto-Submitted: Auto-Replied; x=y\r\n": AutoReplied, "Auto-submitted: (c) no\r\n": "no", "A: b\r\n": ""} {
		if got := AutoSubmitted([]byte(header)); got != want {
			t.Errorf("%q: %q", header, got)
		}
	}
}
