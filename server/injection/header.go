package injection

import (
	"bytes"
	"strings"

	"postern/server/message"
)

// unread are header fields whose text no agent takes for words: traces, signatures
// and machine-made values. They are read only where they have prose. A field that is
// not here is read.
var unread = map[string]bool{"received": true, "dkim-signature": true, "arc-seal": true, "arc-message-signature": true,
	"arc-authentication-results": true, "authentication-results": true, "received-spf": true, "return-path": true, "date": true, "message-id": true,
	"in-reply-to": true, "references": true, "mime-version": true, "content-type": true, "content-transfer-encoding": true, "content-id": true,
	"content-disposition": true, "x-google-dkim-signature": true, "x-gm-message-state": true, "x-google-smtp-source": true, "x-received": true,
	"list-unsubscribe": true, "list-unsubscribe-post": true, "domainkey-signature": true, "x-ms-exchange-antispam-messagedata": true,
	"content-length": true, "lines": true}

// maxHead is how many bytes of a header are read; Parse interprets no more.
const maxHead = message.MaxHeaderBytes

// headerAt reads the header of a message or a part.
func (w *walk) headerAt(s message.Span, at string) {
	if s.Len() <= 2 {
		return
	}
	if s.Len() > maxHead {
		w.skip(at, "limit")
	}
	b := make([]byte, min(s.Len(), maxHead))
	n, _ := w.body.ReadAt(b, s.Start)
	w.header(b[:n], at)
}

// header reads the fields of a header. A field that stands twice is read twice:
// programs do not agree on which one counts.
func (w *walk) header(header []byte, at string) {
	var others, names viewText
	for f := range message.Fields(header) {
		name := strings.ToLower(string(f.Name))
		from, to := int(f.Span.Start), int(f.Span.End)
		switch {
		case f.Is("subject"):
			var subject viewText
			subject.add([]byte(decodeWords(f.Value())), from, to)
			w.put(segment{view: Subject, part: at, text: subject.text, source: header, marks: subject.marks})
		case name == "from" || name == "to" || name == "cc" || name == "reply-to" || name == "sender" || name == "bcc":
			names.add(addressNames(f.Value()), from, to)
		case !unread[name] || prose(linkWords(traceText(name, f.Body)), proseInTrace):
			others.add([]byte(decodeWords(f.Value())), from, to)
			others.end()
		}
		if prose(linkWords(f.Name), proseInTrace) {
			others.add(f.Name, from, to)
			others.end()
		}
	}
	w.put(segment{view: Name, part: at, text: names.text, source: header, marks: names.marks})
	w.put(segment{view: Header, part: at, text: others.text, source: header, marks: others.marks})
}

// traceText is what of a field that is for machines may be words: the name of a media
// type, which can be long, is not.
func traceText(name string, body []byte) []byte {
	if name == "content-type" {
		_, body, _ = bytes.Cut(body, []byte(";"))
	}
	return body
}

// proseInTrace is how many words beside one another no mail program writes into a
// field that is for machines.
const proseInTrace = 6

// addressNames are the names in a list of addresses, one a line, with those of groups
// and with addresses that are sentences. Where there are comments, which may stand
// anywhere, the whole field is read.
func addressNames(value string) []byte {
	var b []byte
	line := func(s string) {
		if s != "" {
			b = append(append(b, s...), '\n')
		}
	}
	if strings.ContainsAny(value, "(") {
		line(decodeWords(value))
		return b
	}
	const sentence = 24 // bytes of a local part that may be one
	for _, a := range message.ParseAddressList(value) {
		line(decodeWords(a.Name))
		if len(a.Mailbox) > sentence || a.IsGroupStart() {
			line(decodeWords(a.Mailbox))
		}
		if prose(linkWords([]byte(a.Host)), 4) {
			line(a.Host)
		}
	}
	if whole := []byte(decodeWords(value)); prose(whole, 5) && !prose(b, 5) {
		line(string(whole)) // words where none belong
	}
	return b
}

// plainParams are parameters whose values are no words.
var plainParams = map[string]bool{"charset": true, "format": true, "delsp": true, "type": true, "start": true, "micalg": true, "protocol": true,
	"report-type": true, "method": true, "size": true, "creation-date": true, "modification-date": true, "read-date": true, "smime-type": true}

// names reads what a part calls itself: its file name, in both places where it may
// stand, and any parameter that is words.
func (w *walk) names(p *message.Part, at string) {
	var b []byte
	name := p.Filename()
	if name != "" {
		b = append(append(b, name...), '\n')
	}
	other := message.Part{Params: p.Params}
	if second := other.Filename(); second != "" && second != name {
		b = append(append(b, second...), '\n')
	}
	for _, list := range [][]message.Param{p.Params, p.DispositionParams} {
		for _, q := range list {
			value := []byte(q.Value)
			if plainParams[q.Name] && !prose(linkWords(value), 4) || q.Value == name || len(value) < 8 {
				continue
			}
			if words := unpercent([]byte(decodeWords(q.Value))); prose(linkWords(words), 4) && !bytes.Contains(b, words) {
				b = append(append(b, words...), '\n')
			}
		}
	}
	w.put(segment{view: FileName, part: at, text: b})
}
