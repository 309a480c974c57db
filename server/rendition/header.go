package rendition

import (
	"errors"
	"io"
	"mime"
	"strings"

	"postern/server/message"
)

// Bounds of header fields, in characters.
const (
	maxSubject    = 1000
	maxName       = 200
	maxAddresses  = 500
	maxReferences = 20
)

// header rebuilds the header of a message, without the fields of MIME: our block as it is, then
// what is kept of the sender's fields.
func (r *renderer) header(env *message.Envelope, span message.Span, block int64) ([]byte, error) {
	raw, err := r.rawHeader(span, block)
	if err != nil {
		return nil, err
	}
	b := ourBlock(raw[:block])
	raw = raw[block:]
	if !env.Time.IsZero() {
		b = append(message.AppendDate(append(b, "Date: "...), env.Time), "\r\n"...)
	}
	for _, field := range [...]string{"From", "Sender", "Reply-To", "To", "Cc", "Bcc"} {
		if v, ok := message.Lookup(raw, strings.ToLower(field)); ok {
			b = appendAddresses(b, field, message.ParseAddressList(withoutComments(v)))
		}
	}
	if subject := cleanLine(message.DecodeWords(env.Subject), maxSubject); subject != "" {
		b = append(append(append(b, "Subject: "...), encodeText(subject)...), "\r\n"...)
	}
	b = appendIDs(b, "Message-ID", env.MessageID, 1)
	b = appendIDs(b, "In-Reply-To", env.InReplyTo, maxReferences)
	if v, ok := message.Lookup(raw, "references"); ok {
		b = appendIDs(b, "References", v, maxReferences)
	}
	return appendWords(b, raw), nil
}

// ourBlock is our header block without the field of our own that has a text of the peer: Received
// says how it called itself (RFC 5321, section 4.4).
func ourBlock(block []byte) []byte {
	out := make([]byte, 0, len(block)+4096)
	for f := range message.Fields(block) {
		if !f.Is("received") {
			out = append(out, block[f.Span.Start:f.Span.End]...)
		}
	}
	return out
}

// rawHeader reads a header as far as it is interpreted, and at least our block.
func (r *renderer) rawHeader(span message.Span, block int64) ([]byte, error) {
	raw := make([]byte, max(block, min(span.Len(), message.MaxHeaderBytes)))
	n, err := r.view.ReadAt(raw, span.Start)
	if n < len(raw) && err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return raw, nil
}

// withoutComments takes the comments out of a structured value (RFC 5322, section 3.2.2). No mail
// program shows them, unless it takes one for a name.
func withoutComments(v string) string {
	if !strings.Contains(v, "(") {
		return v
	}
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '\\' && i+1 < len(v):
			if depth == 0 {
				b.WriteString(v[i : i+2])
			}
			i++
			continue
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			depth++
		case c == ')' && depth > 0:
			depth--
			continue
		}
		if depth == 0 {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// appendAddresses appends an address field, one address on a line. Groups are dissolved; one with
// nobody in it, such as undisclosed-recipients, shows nobody.
func appendAddresses(b []byte, field string, list []message.Address) []byte {
	n := 0
	for i := range list {
		a := &list[i]
		if a.IsGroupStart() || a.IsGroupEnd() || n == maxAddresses {
			continue
		}
		spec := addrSpec(a)
		if spec == "" {
			continue
		}
		if n++; n == 1 {
			b = append(append(b, field...), ": "...)
		} else {
			b = append(b, ",\r\n "...)
		}
		if name := cleanLine(message.DecodeWords(a.Name), maxName); name != "" {
			b = append(append(b, encodePhrase(name)...), ' ')
		}
		b = append(append(append(b, '<'), spec...), '>')
	}
	if n > 0 {
		b = append(b, "\r\n"...)
	}
	return b
}

// addrSpec is an address as RFC 5322, section 3.4.1, writes it; empty for one that cannot be written.
func addrSpec(a *message.Address) string {
	local, host := cleanLine(a.Mailbox, 64*4), cleanLine(a.Host, 255)
	if local == "" || host == "" || strings.ContainsAny(host, " <>()@,;:\"\\") && !strings.HasPrefix(host, "[") {
		return ""
	}
	if !isAtoms(local) {
		local = quote(local)
	}
	return local + "@" + host
}

// isAtoms reports whether a text is a dot-atom (RFC 5322, section 3.2.3; RFC 6532 for others than ASCII).
func isAtoms(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune("()<>[]:;@\\,\"", r)
	}) < 0 && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// encodePhrase writes a display name.
func encodePhrase(name string) string {
	if ascii(name) && len(name) < 70 && !strings.Contains(name, "=?") {
		return quote(name)
	}
	return mime.BEncoding.Encode("utf-8", name)
}

// encodeText writes an unstructured value, with encoded words where it is long or not ASCII.
func encodeText(s string) string {
	if ascii(s) && len(s) < 900 && !strings.Contains(s, "=?") {
		return s
	}
	if ascii(s) { // which mime leaves as it is
		return encodeASCII(s)
	}
	return mime.BEncoding.Encode("utf-8", s)
}

// encodeASCII writes text that is long, or looks like an encoded word and is none, as encoded words.
func encodeASCII(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := min(len(s), 20)
		if b.Len() > 0 {
			b.WriteString("\r\n ")
		}
		b.WriteString("=?utf-8?q?")
		for i := range n {
			const digits = "0123456789ABCDEF"
			b.Write([]byte{'=', digits[s[i]>>4], digits[s[i]&15]})
		}
		b.WriteString("?=")
		s = s[n:]
	}
	return b.String()
}

// appendIDs appends the message ids of a field, the last of them where there are too many.
func appendIDs(b []byte, field, value string, most int) []byte {
	all, _ := message.MessageIDs(value)
	ids := all[:0:0]
	for _, id := range all {
		if isID(id) {
			ids = append(ids, id)
		}
	}
	if len(ids) > most {
		ids = ids[len(ids)-most:]
	}
	if len(ids) == 0 {
		return b
	}
	b = append(append(b, field...), ':')
	for i, id := range ids {
		if i > 0 {
			b = append(b, '\r', '\n')
		}
		b = append(append(b, ' '), id...)
	}
	return append(b, '\r', '\n')
}

// isID reports whether a message id is one that has no room for anything else: no comment, no
// quotes, no space.
func isID(id string) bool {
	return len(id) <= 250 && ascii(id) && message.IsMessageID(id) && strings.IndexFunc(id[1:len(id)-1], func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune("()<>\\,\";", r)
	}) < 0
}

// appendWords appends fields whose value is one of a few words.
func appendWords(b, raw []byte) []byte {
	for _, f := range []struct {
		name  string
		words []string
	}{
		{"Auto-Submitted", []string{"no", "auto-generated", "auto-replied", "auto-notified"}}, // RFC 3834, section 5
		{"Precedence", []string{"bulk", "list", "junk"}},
	} {
		v, _ := message.Lookup(raw, strings.ToLower(f.name))
		v, _, _ = strings.Cut(v, ";")
		for _, w := range f.words {
			if strings.EqualFold(strings.TrimSpace(v), w) {
				b = append(b, f.name+": "+w+"\r\n"...)
			}
		}
	}
	return b
}
