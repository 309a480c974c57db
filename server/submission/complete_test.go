package submission

import (
	"bytes"
	"testing"

	"postern/server/message"
)

// FuzzEdit holds that no field that must not leave does, that the header ends
// where it should, and that nothing else is lost.
func FuzzEdit(f *testing.F) {
	f.Add([]byte("From: a@b\r\nBcc: c@d,\r\n e@f\r\nAgent-Run: 1\r\nSubject: x\r\n\r\n"))
	f.Add([]byte("X: a\rBcc: c@d\nbcc : e@f\r\nBCC:\r\n\t\r\n"))
	f.Add([]byte("B\x00cc: x\r\nIdempotency-Key: 1"))
	f.Fuzz(func(t *testing.T, header []byte) {
		for field := range message.Fields(header) {
			if malformed(header, field) {
				return // policy refuses it
			}
		}
		e := edit(header, []byte("Received: by us\r\n"), "mail.example.com")
		if !bytes.HasSuffix(e.header, []byte("\r\n\r\n")) || !bytes.HasPrefix(e.header, []byte("Received: by us\r\n")) {
			t.Fatalf("header %q", e.header)
		}
		kept, want := 0, 1
		for field := range message.Fields(e.header) {
			if stripped(field, "mail.example.com") {
				t.Errorf("%q leaves", field.Name)
			}
			kept++
		}
		for field := range message.Fields(header) {
			if !stripped(field, "mail.example.com") {
				want++
			}
		}
		if kept != want {
			t.Errorf("%d fields of %d are left: %q of %q", kept, want, e.header, header)
		}
		for field := range message.Fields(e.bcc) {
			if !field.Is("bcc") {
				t.Errorf("%q stands in front of the copy in Sent", field.Name)
			}
		}
	})
}
