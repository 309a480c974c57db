package rendition

import (
	"strconv"
	"strings"

	"postern/server/message"
)

// insideMark stands before a message that is inside of another in what Text returns.
const insideMark = "\n---------- A message inside ----------\n"

// Text is what a person would see of a message, as plain text: the same as Render shows,
// without the header and without attachments. It is cut at limit bytes.
func Text(src Source, limit int) (text string, cut bool, err error) {
	r := &renderer{view: src.View, left: MaxText}
	items := r.body(&src.Structure.Root, 0)
	if r.err != nil {
		return "", false, r.err
	}
	var b strings.Builder
	appendTexts(&b, items, limit)
	text = b.String()
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], ""), true, nil
	}
	return text, false, nil
}

// appendTexts writes what is shown in place, until there is more than enough.
func appendTexts(b *strings.Builder, items []item, limit int) {
	for i := range items {
		x := &items[i]
		switch {
		case b.Len() > limit:
			return
		case x.header != nil:
			b.WriteString(insideMark)
			b.WriteString(strings.ReplaceAll(string(x.header), "\r\n", "\n"))
			b.WriteByte('\n')
			appendTexts(b, x.parts, limit)
		case x.name == "":
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.Write(x.text)
		}
	}
}

// A File is a part that a mail program offers to save.
type File struct {
	Section string // IMAP section number
	Part    *message.Part
}

// Files lists the parts of a message that are not its text, in their order.
func Files(root *message.Part) []File {
	var all []File
	files(root, nil, &all)
	return all
}

func files(p *message.Part, path []int, all *[]File) {
	for i := range p.Children {
		files(&p.Children[i], append(path, i+1), all)
	}
	if len(p.Children) > 0 || len(*all) >= maxParts {
		return
	}
	if len(path) == 0 {
		path = []int{1} // RFC 9051, section 6.4.5.1: the text of a message that has no parts
	}
	shown := p.Type == "text" && (p.Subtype == "plain" || p.Subtype == "html")
	if !shown || p.Disposition == "attachment" || p.Filename() != "" {
		*all = append(*all, File{section(path), p})
	}
}

func section(path []int) string {
	var b []byte
	for i, n := range path {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return string(b)
}
