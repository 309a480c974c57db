package message

import "strings"

// The fields that Parse interprets.
type fieldID uint8

const (
	fieldOther fieldID = iota
	fieldDate
	fieldSubject
	fieldFrom
	fieldSender
	fieldReplyTo
	fieldTo
	fieldCc
	fieldBcc
	fieldInReplyTo
	fieldMessageID
	fieldReceived
	fieldContentType
	fieldContentEncoding
	fieldContentID
	fieldContentDescription
	fieldContentDisposition
	fieldContentLanguage
	fieldContentLocation
	fieldContentMD5
)

func identify(lower []byte) fieldID {
	switch string(lower) {
	case "date":
		return fieldDate
	case "subject":
		return fieldSubject
	case "from":
		return fieldFrom
	case "sender":
		return fieldSender
	case "reply-to":
		return fieldReplyTo
	case "to":
		return fieldTo
	case "cc":
		return fieldCc
	case "bcc":
		return fieldBcc
	case "in-reply-to":
		return fieldInReplyTo
	case "message-id":
		return fieldMessageID
	case "received":
		return fieldReceived
	case "content-type":
		return fieldContentType
	case "content-transfer-encoding":
		return fieldContentEncoding
	case "content-id":
		return fieldContentID
	case "content-description":
		return fieldContentDescription
	case "content-disposition":
		return fieldContentDisposition
	case "content-language":
		return fieldContentLanguage
	case "content-location":
		return fieldContentLocation
	case "content-md5":
		return fieldContentMD5
	}
	return fieldOther
}

// A headerReader interprets one header.
type headerReader struct {
	p    *parser
	part *Part
	env  *Envelope // nil in a part of a multipart

	field  fieldID // being collected in p.value; fieldOther for none
	fields int
	seen   uint32 // bits by fieldID
}

// header reads one header: up to and with its blank line, or up to a
// delimiter, the end, or a first line that is no field.
func (p *parser) header(part *Part, env *Envelope) {
	h := headerReader{p: p, part: part, env: env}
	start, lines := part.Header.Start, p.ended()
	closed := false
	for !closed && p.next() {
		if len(p.bounds) > 0 && len(p.text) >= 2 && p.text[0] == '-' && p.text[1] == '-' && p.delimits() {
			break
		}
		switch {
		case !p.start:
			h.more(p.text)
		case len(p.text) == 0 && p.term > 0:
			closed = true
		case isWSP(p.text[0]) && h.fields > 0:
			h.more(p.text)
		default:
			if !h.line() {
				p.unread()
				p.defects |= DefectNoHeader
				p.top = nil
				return
			}
		}
	}
	h.finish()
	h.defaults()
	p.top = nil
	if closed {
		part.Header.End = p.offset()
		return
	}
	p.defects |= DefectHeaderEnd
	part.Header.End, _ = p.contentEnd(start, lines)
}

// line begins the field on the current line. It reports false when the header
// has no fields yet and this is none either: then there is no header.
func (h *headerReader) line() bool {
	p := h.p
	name, body, ok := splitField(p.text)
	ok = ok && !isWSP(p.text[0])
	// A mailbox in Unix format puts an unnamed line in front.
	if !ok && h.fields == 0 && !strings.HasPrefix(string(p.text[:min(5, len(p.text))]), "From ") {
		return false
	}
	h.finish()
	h.fields++
	var fold foldedName
	if !ok {
		if h.fields > 1 {
			p.defects |= DefectInvalidField
		}
		h.count(identify(fold.set(loneName(p.text))))
		return true
	}
	field := identify(fold.set(name))
	h.count(field)
	if h.fields > MaxFields || p.lineOffset()-h.part.Header.Start > MaxHeaderBytes {
		p.defects |= DefectHeaderTruncated
		return true
	}
	if h.wants(field) {
		h.field = field
		h.more(body)
	}
	return true
}

// count counts the fields of which policy allows so many.
func (h *headerReader) count(field fieldID) {
	switch {
	case h.p.top == nil:
	case field == fieldFrom:
		h.p.top.FromFields++
	case field == fieldReceived:
		h.p.top.ReceivedFields++
	}
}

// wants reports whether a field's value is of use here, and marks it as seen.
func (h *headerReader) wants(field fieldID) bool {
	switch {
	case field == fieldOther || field == fieldReceived:
		return false
	case field < fieldReceived && h.env == nil:
		return false
	case field == fieldTo || field == fieldCc || field == fieldBcc:
		return true // several are read as one list, as mail programs do
	}
	if bit := uint32(1) << field; h.seen&bit != 0 {
		h.p.defects |= DefectDuplicateField
		return false
	} else {
		h.seen |= bit
	}
	return true
}

// more adds text to the field being collected.
func (h *headerReader) more(text []byte) {
	if h.field == fieldOther {
		return
	}
	p := h.p
	if room := MaxValueBytes - len(p.value); len(text) > room {
		p.defects |= DefectValueTruncated
		text = text[:room]
	}
	p.value = append(p.value, text...)
}

// finish interprets the field that was collected.
func (h *headerReader) finish() {
	field, p := h.field, h.p
	if field == fieldOther {
		return
	}
	h.field = fieldOther
	value := p.keep(p.value)
	p.value = p.value[:0]
	if value == "" {
		return
	}
	if field < fieldReceived {
		h.envelope(field, value)
	} else {
		h.mime(field, value)
	}
}

// keep makes a string of a value, as long as the message's allowance lasts.
func (p *parser) keep(value []byte) string {
	value = trimWSP(value)
	if p.defects.Has(DefectNUL) {
		value = appendUnfolded(value[:0], value)
	}
	if p.kept+len(value) > MaxKeptBytes {
		p.defects |= DefectValueTruncated
		return ""
	}
	p.kept += len(value)
	return string(value)
}

func (h *headerReader) envelope(field fieldID, value string) {
	env := h.env
	switch field {
	case fieldDate:
		env.Date = value
		var ok bool
		if env.Time, ok = ParseDate(value); !ok {
			h.p.defects |= DefectDate
		}
	case fieldSubject:
		env.Subject = value
	case fieldFrom:
		env.From = h.p.addressList(nil, value)
	case fieldSender:
		env.Sender = h.p.addressList(nil, value)
	case fieldReplyTo:
		env.ReplyTo = h.p.addressList(nil, value)
	case fieldTo:
		env.To = h.p.addressList(env.To, value)
	case fieldCc:
		env.Cc = h.p.addressList(env.Cc, value)
	case fieldBcc:
		env.Bcc = h.p.addressList(env.Bcc, value)
	case fieldInReplyTo:
		env.InReplyTo = value
	case fieldMessageID:
		env.MessageID = value
	}
}

// addressList reads a list within the message's allowance.
func (p *parser) addressList(list []Address, value string) []Address {
	n := len(list)
	list, whole := appendAddresses(list, value, min(MaxAddresses, maxAllAddresses-p.addresses+n))
	if !whole {
		p.defects |= DefectAddresses
	}
	p.addresses += len(list) - n
	return list
}

func (h *headerReader) mime(field fieldID, value string) {
	part, whole := h.part, true
	switch field {
	case fieldContentType:
		media, rest := cutParams(value)
		var ok bool
		if part.Type, part.Subtype, ok = splitMediaType(media); !ok {
			h.p.defects |= DefectContentType
			part.Type, part.Subtype = "text", "plain" // RFC 2045, section 5.2
		}
		part.Params, whole = parseParams(rest)
	case fieldContentEncoding:
		part.Encoding = firstToken(value)
	case fieldContentID:
		part.ID = value
	case fieldContentDescription:
		part.Description = value
	case fieldContentDisposition:
		disposition, rest := cutParams(value)
		if part.Disposition = firstToken(disposition); part.Disposition == "" {
			part.Disposition = "attachment" // RFC 2183, section 2.8: unknown is attachment
		}
		part.DispositionParams, whole = parseParams(rest)
	case fieldContentLanguage:
		part.Language = splitLanguages(value)
	case fieldContentLocation:
		part.Location = value
	case fieldContentMD5:
		part.MD5 = value
	}
	if !whole {
		h.p.defects |= DefectParams
	}
}

// defaults fills in what IMAP wants filled in: RFC 9051, section 7.5.2, on
// ENVELOPE: "If the Sender or Reply-To header fields are absent ... or are
// present but empty, the server sets the corresponding member of the envelope
// to be the same value as the from member."
func (h *headerReader) defaults() {
	if h.env == nil {
		return
	}
	if len(h.env.Sender) == 0 {
		h.env.Sender = h.env.From
	}
	if len(h.env.ReplyTo) == 0 {
		h.env.ReplyTo = h.env.From
	}
}
