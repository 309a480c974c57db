package imapd

import (
	"strconv"

	"postern/server/message"
)

// envelope writes ENVELOPE (RFC 9051, section 7.5.2) as the header has it: texts are raw, with encoded words as they
// came, which is what clients decode.
func (r *response) envelope(e *message.Envelope) {
	r.b = append(r.b, '(')
	r.nstr(e.Date)
	r.b = append(r.b, ' ')
	r.nstr(e.Subject)
	r.b = append(r.b, ' ')
	for _, list := range [...][]message.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		r.addresses(list)
		r.b = append(r.b, ' ')
	}
	r.nstr(e.InReplyTo)
	r.b = append(r.b, ' ')
	r.nstr(e.MessageID)
	r.b = append(r.b, ')')
}

// addresses writes an address list. The second member of an address, the source route, has been obsolete for long.
func (r *response) addresses(list []message.Address) {
	if len(list) == 0 {
		r.b = append(r.b, "NIL"...)
		return
	}
	r.b = append(r.b, '(')
	for i := range list {
		a := &list[i]
		r.b = append(r.b, '(')
		r.nstr(a.Name)
		r.b = append(r.b, " NIL "...)
		r.nstr(a.Mailbox)
		r.b = append(r.b, ' ')
		r.nstr(a.Host)
		r.b = append(r.b, ')')
	}
	r.b = append(r.b, ')')
}

// structure writes BODYSTRUCTURE, or BODY without the extension data. The tree was made and bounded at delivery: a
// multipart has parts, and nesting is at most message.MaxDepth.
func (r *response) structure(p *message.Part, extended bool) {
	r.b = append(r.b, '(')
	if p.IsMultipart() {
		for i := range p.Children {
			r.structure(&p.Children[i], extended)
		}
		r.b = append(r.b, ' ')
		r.str(p.Subtype)
		if extended {
			r.b = append(r.b, ' ')
			r.params(p.Params)
			r.extension(p)
		}
	} else {
		r.onePart(p, extended)
		if extended {
			r.b = append(r.b, ' ')
			r.nstr(p.MD5)
			r.extension(p)
		}
	}
	r.b = append(r.b, ')')
}

func (r *response) onePart(p *message.Part, extended bool) {
	r.str(p.Type)
	r.b = append(r.b, ' ')
	r.str(p.Subtype)
	r.b = append(r.b, ' ')
	r.params(p.Params)
	r.b = append(r.b, ' ')
	r.nstr(p.ID)
	r.b = append(r.b, ' ')
	r.nstr(p.Description)
	r.b = append(r.b, ' ')
	r.str(p.Encoding)
	r.b = append(r.b, ' ')
	r.b = strconv.AppendInt(r.b, p.Body.Len(), 10)
	switch {
	case p.Message != nil:
		r.b = append(r.b, ' ')
		r.envelope(&p.Message.Envelope)
		r.b = append(r.b, ' ')
		r.structure(&p.Message.Root, extended)
	case p.Type != "text":
		return
	}
	r.b = append(r.b, ' ')
	r.b = strconv.AppendInt(r.b, p.Lines, 10)
}

// extension writes disposition, language and location.
func (r *response) extension(p *message.Part) {
	if p.Disposition == "" {
		r.b = append(r.b, " NIL "...)
	} else {
		r.b = append(r.b, " ("...)
		r.str(p.Disposition)
		r.b = append(r.b, ' ')
		r.params(p.DispositionParams)
		r.b = append(r.b, ") "...)
	}
	if len(p.Language) == 0 {
		r.b = append(r.b, "NIL"...)
	} else {
		r.b = append(r.b, '(')
		for i, tag := range p.Language {
			if i > 0 {
				r.b = append(r.b, ' ')
			}
			r.str(tag)
		}
		r.b = append(r.b, ')')
	}
	r.b = append(r.b, ' ')
	r.nstr(p.Location)
}

func (r *response) params(params []message.Param) {
	if len(params) == 0 {
		r.b = append(r.b, "NIL"...)
		return
	}
	r.b = append(r.b, '(')
	for i, p := range params {
		if i > 0 {
			r.b = append(r.b, ' ')
		}
		r.str(p.Name)
		r.b = append(r.b, ' ')
		r.str(p.Value)
	}
	r.b = append(r.b, ')')
}
