package submission

import (
	"context"
	"io"
	"mime"
	"net/mail"

	"postern/server/message"
	"postern/server/policy"
)

// facts gathers what policy.Submit decides by.
func (o *Outbound) facts(ctx context.Context, m *submission) error {
	area, err := o.reach(ctx, m.s.Principal, m.s.To)
	if err != nil {
		return err
	}
	m.local, m.subjects = area.local, subjects(m.s.Principal, area.domain.ID)
	if m.captured, err = o.captures(ctx, m); err != nil {
		return err
	}
	f := policy.SubmitFacts{
		SenderFacts: senderFacts(m.s.Principal, m.s.From), Owned: area.domain.Owned,
		Recipients: len(m.s.To), To: addressees(m.s.To, area.inside), Size: m.s.Stage.Size(),
		FromFields: m.whole.FromFields, From: addresses(m.whole.Envelope.From), Hops: m.whole.ReceivedFields,
		HeaderBytes: m.whole.Header.Len(),
	}
	m.provenance.facts(&f)
	f.Attachments = attachments(&m.whole.Root)
	if unseen(m.whole) {
		f.Attachments++
	}
	for i, here := range area.local {
		if !here && !m.captured[i] {
			f.Remote++
		}
	}
	for field := range message.Fields(m.header) {
		f.HeaderFields++
		f.HeaderMalformed = f.HeaderMalformed || malformed(m.header, field) || ambiguous(field)
		switch {
		case field.Is("sender"):
			f.SenderFields++
		case resent(field):
			f.Resent = append(f.Resent, addresses(message.ParseAddressList(field.Value()))...)
		}
	}
	if f.SenderFields > 0 {
		f.Sender = addresses(m.whole.Envelope.Sender)
	}
	m.facts = f
	return nil
}

// malformed reports whether a line of the header is no field by RFC 5322, section
// 2.2: a name is visible ASCII without the colon, and what begins with white
// space continues the line before it, so it cannot be the first. Such a line
// ends the header for some readers and not for others.
func malformed(header []byte, f message.Field) bool {
	if c := header[f.Span.Start]; c == ' ' || c == '\t' {
		return true
	}
	for _, c := range f.Name {
		if c <= ' ' || c > '~' {
			return true
		}
	}
	return len(f.Name) == 0
}

// resent reports whether a field says who sent a message once more.
func resent(f message.Field) bool { return f.Is("resent-from") || f.Is("resent-sender") }

// maxAuthor bounds the fields that name an author: the rest of a longer one would
// not be looked at (message.MaxValueBytes).
const maxAuthor = 4 << 10

// ambiguous reports whether a field that names one author to us may name another
// to the programs that will show it: "<a@here> b@here" is one address to some
// and the other to others. A second parser, which is strict, has to agree.
func ambiguous(f message.Field) bool {
	if !f.Is("from") && !f.Is("sender") && !resent(f) {
		return false
	}
	if len(f.Body) > maxAuthor {
		return true
	}
	value := f.Value()
	ours := message.ParseAddressList(value)
	if len(ours) != 1 {
		return false // policy refuses that one
	}
	theirs, err := strict.Parse(value)
	return err != nil || theirs.Address != ours[0].Mailbox+"@"+ours[0].Host
}

// strict reads addresses by RFC 5322. What charset a display name is in is none
// of its business.
var strict = mail.AddressParser{WordDecoder: &mime.WordDecoder{
	CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}}

// addresses are the canonical addresses of a field. One that is no address stays
// in the list as what it is, so that it equals nothing.
func addresses(list []message.Address) []string {
	var all []string
	for _, a := range list {
		path, err := message.NewPath(a.Mailbox, a.Host, true)
		if err != nil {
			all = append(all, "")
			continue
		}
		all = append(all, path.Canonical().String())
	}
	return all
}

// addressees are the recipients as the gate knows them.
func addressees(to []message.Path, inside []bool) []policy.Addressee {
	all := make([]policy.Addressee, len(to))
	for i, path := range to {
		all[i] = policy.Addressee{Address: path.Canonical().String(), Inside: inside[i]}
	}
	return all
}

// unseen reports whether a message has parts that were not looked at, or not to the
// end of their header: any of them may be an attachment, or a stored message.
func unseen(s *message.Structure) bool {
	return s.Defects.Has(message.DefectParts) || s.Defects.Has(message.DefectHeaderTruncated)
}

// attachments counts the parts of a message that are no text to be read with it:
// what has a file name or says that it is attached, a message inside, and any
// other leaf that is not text.
func attachments(p *message.Part) (n int) {
	if len(p.Children) > 0 {
		for i := range p.Children {
			n += attachments(&p.Children[i])
		}
		return n
	}
	if p.Message != nil || p.Disposition == "attachment" || p.Filename() != "" || p.Type != "text" {
		return 1
	}
	return 0
}
