package rendition

import (
	"io"

	"postern/server/message"
)

// Version is of what renders, and stands with each rendition. It grows with every change after
// which some message has another one.
const Version = 1

// Bounds of a rendition.
const (
	MaxText  = 1 << 20 // bytes of text in all parts together, as UTF-8, before HTML is taken out of it
	maxParts = 100     // parts that are shown or named
	maxDepth = 8       // messages and multiparts inside one another
)

// A Source is a message as its mailbox shows it.
type Source struct {
	View      io.ReaderAt
	Structure *message.Structure // of the view
	// Block is the length of our own header block, with which the view begins and which is kept as it is.
	Block int64
}

// Render makes the rendition: a whole message. It fails only when the view cannot be read.
func Render(src Source) ([]byte, error) {
	r := &renderer{view: src.View, left: MaxText}
	items := r.body(&src.Structure.Root, 0)
	header, err := r.header(&src.Structure.Envelope, src.Structure.Header, src.Block)
	if err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	return appendMessage(header, items, 0), nil
}

// A renderer is one message on its way.
type renderer struct {
	view  io.ReaderAt
	left  int // bytes of text that may still be read
	parts int // that were taken
	err   error
}

// An item is a part of a rendition: a text, or a message with parts of its own.
type item struct {
	subtype string // of text
	params  string // more parameters, each with a semicolon in front
	name    string // of an attachment
	text    []byte

	header []byte // of a message
	parts  []item
}

// texts that stand in place of something.
const (
	nothingShown = "[Nothing of this message is shown.]\n"
	textCut      = "\n[The rest of this text is left out: it is too long.]\n"
)

// body renders what is in a message.
func (r *renderer) body(root *message.Part, depth int) []item {
	items := r.part(root, depth)
	if len(items) == 0 {
		return []item{{subtype: "plain", text: []byte(nothingShown)}}
	}
	return items
}

// part renders a part and those inside.
func (r *renderer) part(p *message.Part, depth int) []item {
	switch {
	case r.err != nil || r.parts >= maxParts:
		return nil
	case depth >= maxDepth:
		return r.leaveOut(p)
	case p.IsMultipart():
		return r.multipart(p, depth+1)
	case p.Message != nil:
		return r.message(p, depth+1)
	}
	return r.leaf(p)
}

// multipart renders a container by its kind (RFC 2046, section 5.1).
func (r *renderer) multipart(p *message.Part, depth int) (items []item) {
	switch p.Subtype {
	case "alternative":
		return r.alternative(p, depth)
	case "related":
		root := rootOf(p)
		for i := range p.Children {
			if i == root {
				items = append(items, r.part(&p.Children[i], depth)...)
			} else {
				items = append(items, r.leaveOut(&p.Children[i])...)
			}
		}
		return items
	case "encrypted":
		return r.leaveOut(p)
	}
	for i := range p.Children {
		items = append(items, r.part(&p.Children[i], depth)...)
	}
	return items
}

// rootOf is the part of multipart/related that is shown (RFC 2387, section 3.2).
func rootOf(p *message.Part) int {
	start := p.Param("start")
	for i := range p.Children {
		if start != "" && p.Children[i].ID == start {
			return i
		}
	}
	return 0
}

// alternative renders the last alternative that can be shown, and calendars, which a mail
// program shows beside it. The others are seen by nobody, and not named.
func (r *renderer) alternative(p *message.Part, depth int) []item {
	for i := len(p.Children) - 1; i >= 0; i-- {
		if !displayable(&p.Children[i], depth) {
			continue
		}
		items := r.part(&p.Children[i], depth)
		for j := range p.Children {
			if j != i && isCalendar(&p.Children[j]) {
				items = append(items, r.part(&p.Children[j], depth)...)
			}
		}
		return items
	}
	if n := len(p.Children); n > 0 {
		return r.part(&p.Children[n-1], depth)
	}
	return nil
}

// displayable reports whether a mail program shows a part as the text of a message.
func displayable(p *message.Part, depth int) bool {
	if p.IsMultipart() && depth < maxDepth {
		for i := range p.Children {
			if displayable(&p.Children[i], depth+1) {
				return true
			}
		}
		return false
	}
	return p.Type == "text" && (p.Subtype == "html" || p.Subtype == "plain") && p.Disposition != "attachment"
}

// message renders a message that is a part of another.
func (r *renderer) message(p *message.Part, depth int) []item {
	r.parts++
	e := p.Message
	header, err := r.header(&e.Envelope, e.Root.Header, 0)
	if err != nil {
		r.fail(err)
		return nil
	}
	return []item{{header: header, parts: r.body(&e.Root, depth)}}
}

// leaf renders a part by its type.
func (r *renderer) leaf(p *message.Part) []item {
	x := item{subtype: "plain"}
	attached := p.Disposition == "attachment" || p.Filename() != ""
	switch kindOf(p) {
	case kindPlain:
		x.text = r.text(p, cleanText)
	case kindHTML:
		x.text = r.text(p, func(b []byte) []byte { return cleanText(htmlText(b)) })
	case kindCSV:
		x.subtype, attached, x.text = "csv", true, r.text(p, cleanText)
	case kindTabs:
		x.subtype, attached, x.text = "tab-separated-values", true, r.text(p, cleanText)
	case kindCalendar:
		x.subtype, attached, x.text = "calendar", true, r.text(p, calendarText)
		x.params = calendarMethod(x.text)
	case kindStatus:
		x.text = r.text(p, statusText)
	default:
		return r.leaveOut(p)
	}
	if len(x.text) == 0 && !attached {
		return nil
	}
	if r.parts++; attached {
		x.name = attachmentName("attachment", r.parts, x.subtype)
	}
	return []item{x}
}

// text reads the text of a part, as far as there is room, and brings it into its form.
func (r *renderer) text(p *message.Part, form func([]byte) []byte) []byte {
	b, err := io.ReadAll(io.LimitReader(message.TextReader(r.view, p), int64(r.left)+1))
	if err != nil {
		r.fail(err)
		return nil
	}
	cut := len(b) > r.left
	if cut {
		b = b[:r.left]
	}
	r.left -= len(b)
	text := form(b)
	if cut {
		text = append(text, textCut...)
	}
	return text
}

// leaveOut puts a placeholder in the place of a part.
func (r *renderer) leaveOut(p *message.Part) []item {
	if r.parts++; r.parts > maxParts {
		return nil
	}
	text := "[Left out: " + describe(p) + ".]\n"
	if r.parts == maxParts {
		text = "[Left out: this and all further parts.]\n"
	}
	return []item{{subtype: "plain", text: []byte(text), name: attachmentName("left-out", r.parts, "plain")}}
}

func (r *renderer) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}
