package rendition

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"postern/server/message"
)

// Bounds of a page.
const (
	maxPage     = 512 << 10 // bytes of HTML that is made into a page
	maxPicture  = 512 << 10 // bytes of a picture that came with the message
	maxPictures = 2 << 20   // bytes of all
)

// PagePolicy is what a browser may do with a page: show it. No script, no form, no frame,
// no request, no way out of the frame that holds it. It stands beside a sanitiser that
// leaves nothing of that kind, so that one mistake is not enough.
const PagePolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"

// Page makes what a mail program would show of a message into a page of HTML for a
// person, to be shown in a frame of its own under [PagePolicy]. Unlike Render it keeps
// how the message looks: a closed list of elements and attributes, by a sanitiser, and
// pictures that came along. Nothing in it leads anywhere, nothing is loaded. It is for
// people alone: style sheets are left out, so that text may show which they hide, and
// text may be hidden in ways that Render would not let through.
func Page(src Source) ([]byte, error) {
	p := &pager{renderer: renderer{view: src.View, left: maxPage}, root: &src.Structure.Root, pictures: maxPictures}
	var b bytes.Buffer
	b.WriteString(pageHead)
	p.part(&b, p.root, 0)
	b.WriteString(pageTail)
	return b.Bytes(), p.err
}

const (
	pageHead = `<!DOCTYPE html><html><head><meta charset="utf-8"><title>A message</title><style>` +
		`body{margin:16px;font:14px/20px system-ui,sans-serif;color:#1c1b18;background:#fff;overflow-wrap:anywhere}` +
		`img{max-width:100%;height:auto}pre{white-space:pre-wrap;font:inherit}table{max-width:100%}` +
		"</style></head><body>\n"
	pageTail = "\n</body></html>\n"
)

// A pager is a message on its way to a page.
type pager struct {
	renderer
	root     *message.Part
	pictures int // bytes of pictures that may still be shown
}

// part writes what is shown of a part: the same choice as that of a rendition.
func (p *pager) part(b *bytes.Buffer, part *message.Part, depth int) {
	switch {
	case p.err != nil || p.parts >= maxParts || depth >= maxDepth:
		return
	case part.IsMultipart() && part.Subtype == "alternative":
		for i := len(part.Children) - 1; i >= 0; i-- {
			if displayable(&part.Children[i], depth) {
				p.part(b, &part.Children[i], depth+1)
				return
			}
		}
	case part.IsMultipart() && part.Subtype == "related":
		p.part(b, &part.Children[rootOf(part)], depth+1)
	case part.IsMultipart():
		for i := range part.Children {
			p.part(b, &part.Children[i], depth+1)
		}
	case part.Message != nil:
		p.parts++
		b.WriteString("<hr>\n")
		p.part(b, &part.Message.Root, depth+1)
	case part.Disposition != "attachment":
		p.leaf(b, part)
	}
}

func (p *pager) leaf(b *bytes.Buffer, part *message.Part) {
	p.parts++
	switch kindOf(part) {
	case kindPlain:
		b.WriteString("<pre>")
		b.WriteString(html.EscapeString(string(p.text(part, cleanText))))
		b.WriteString("</pre>\n")
	case kindHTML:
		text := p.text(part, func(text []byte) []byte { return text })
		// What an unclosed element of one part does ends with it.
		b.WriteString("<div>")
		b.Write(p.sanitised(text))
		b.WriteString("</div>\n")
	}
}

// sanitised keeps of HTML what is on the list. A sanitiser that works on tokens keeps no
// tree that could grow.
func (p *pager) sanitised(text []byte) []byte {
	s := newSanitiser()
	s.RewriteSrc(func(u *url.URL) {
		if u.Scheme == "cid" {
			*u = p.picture(u.Opaque)
		}
	})
	return flat(s.SanitizeBytes(bytes.ToValidUTF8(text, []byte("\uFFFD"))))
}

// maxNesting is how deep elements lie in one another on a page; those further inside are
// left out, and what is in them is not.
const maxNesting = 100

// flat takes elements out that lie too deep. It writes tokens as they stand.
func flat(page []byte) []byte {
	var b bytes.Buffer
	open, left := 0, map[string]int{}
	for z := html.NewTokenizer(bytes.NewReader(page)); ; {
		kind := z.Next()
		raw := z.Raw()
		switch kind {
		case html.ErrorToken:
			return b.Bytes()
		case html.StartTagToken:
			name, _ := z.TagName()
			if void[atom.Lookup(name)] {
				break
			}
			if open >= maxNesting {
				left[string(name)]++
				continue
			}
			open++
		case html.EndTagToken:
			name, _ := z.TagName()
			if left[string(name)] > 0 {
				left[string(name)]--
				continue
			}
			open = max(0, open-1)
		}
		b.Write(raw)
	}
}

// rasters are the pictures that are shown: those that have no markup inside.
var rasters = map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true}

// picture finds a picture that came along (RFC 2392). Without one the place stays empty.
func (p *pager) picture(id string) url.URL {
	none := url.URL{Scheme: "data", Opaque: ","}
	if plain, err := url.PathUnescape(id); err == nil {
		id = plain
	}
	part := withID(p.root, "<"+id+">", 0)
	if part == nil || !rasters[part.MediaType()] {
		return none
	}
	limit := min(maxPicture, p.pictures)
	b, err := io.ReadAll(io.LimitReader(message.PartReader(p.view, part), int64(limit)+1))
	if err != nil || len(b) > limit {
		return none
	}
	p.pictures -= len(b)
	return url.URL{Scheme: "data", Opaque: part.MediaType() + ";base64," + base64.StdEncoding.EncodeToString(b)}
}

func withID(p *message.Part, id string, depth int) *message.Part {
	if p.ID == id && !p.IsMultipart() {
		return p
	}
	for i := range p.Children {
		if depth < maxDepth {
			if found := withID(&p.Children[i], id, depth+1); found != nil {
				return found
			}
		}
	}
	return nil
}

// pageElements and pageAttributes are what may stand in a page. None of them loads,
// leads, submits or runs anything; none is of SVG or MathML, of which browsers change
// the meaning of what is inside.
var pageElements = []string{"a", "abbr", "address", "article", "aside", "b", "big", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup",
	"dd", "del", "details", "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "i", "img", "ins", "kbd",
	"li", "main", "mark", "nav", "ol", "p", "pre", "q", "s", "samp", "section", "small", "span", "strike", "strong", "sub", "summary", "sup",
	"table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul", "var", "wbr"}

// values are the forms that attributes and properties may have. They are made for the
// first page.
var values = sync.OnceValue(func() *valueForms {
	return &valueForms{
		measure:   regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]{1,3})?(%|px|pt|em)?$`),
		measures:  regexp.MustCompile(`^(-?[0-9]{1,4}(\.[0-9]{1,3})?(%|px|pt|em|rem)?|auto|0)( (-?[0-9]{1,4}(\.[0-9]{1,3})?(%|px|pt|em|rem)?|auto|0)){0,3}$`),
		paint:     regexp.MustCompile(`^(#[0-9a-f]{3,8}|[a-z]{3,24}|rgba?\([0-9., %]{1,40}\))$`),
		oldPaint:  regexp.MustCompile(`^(#?[0-9A-Fa-f]{3,8}|[A-Za-z]{3,24})$`),
		word:      regexp.MustCompile(`^[a-zA-Z-]{1,20}$`),
		integer:   regexp.MustCompile(`^[0-9]{1,3}$`),
		border:    regexp.MustCompile(`^([0-9.]{1,5}(px|pt|em)?|none|solid|dashed|dotted|#[0-9a-f]{3,8}|[a-z]{3,24})( ([0-9.]{1,5}(px|pt|em)?|none|solid|dashed|dotted|#[0-9a-f]{3,8}|[a-z]{3,24})){0,2}$`),
		family:    regexp.MustCompile(`^[a-zA-Z0-9 ,'"_-]{1,200}$`),
		language:  regexp.MustCompile(`^[a-zA-Z0-9-]{1,20}$`),
		display:   regexp.MustCompile(`^(none|block|inline|inline-block|table|table-cell|table-row)$`),
		direction: regexp.MustCompile(`^(?i:ltr|rtl|auto)$`),
		fontSize:  regexp.MustCompile(`^[+-]?[1-7]$`),
		keyword:   regexp.MustCompile(`^([a-z-]{1,20}|[1-9]00)$`),
	}
})

type valueForms struct {
	measure, measures, paint, oldPaint, word, integer, border, family, language, display, direction, fontSize, keyword *regexp.Regexp
}

// newSanitiser makes the sanitiser of one message, since it finds that message's pictures.
func newSanitiser() *bluemonday.Policy {
	s, v := bluemonday.NewPolicy(), values()
	s.AllowElements(pageElements...)
	s.AllowNoAttrs().OnElements(pageElements...)
	s.AllowAttrs("dir").Matching(v.direction).Globally()
	s.AllowAttrs("lang").Matching(v.language).Globally()
	s.AllowAttrs("align", "valign").Matching(v.word).Globally()
	s.AllowAttrs("width", "height").Matching(v.measure).OnElements("table", "td", "th", "tr", "col", "img", "hr")
	s.AllowAttrs("colspan", "rowspan", "cellpadding", "cellspacing", "border", "span", "start").Matching(v.integer).OnElements("table", "td", "th", "col", "colgroup", "img", "ol")
	s.AllowAttrs("bgcolor", "color").Matching(v.oldPaint).OnElements("table", "tr", "td", "th", "font")
	s.AllowAttrs("size").Matching(v.fontSize).OnElements("font")
	s.AllowAttrs("alt").OnElements("img")
	s.AllowAttrs("src").OnElements("img")
	s.AllowStyles("color", "background-color", "background").Matching(v.paint).Globally()
	s.AllowStyles("font-family").Matching(v.family).Globally()
	s.AllowStyles("font-weight", "font-style", "text-align", "text-decoration", "vertical-align", "white-space", "text-transform", "border-collapse", "visibility", "direction").
		Matching(v.keyword).Globally()
	s.AllowStyles("font-size", "line-height", "width", "max-width", "height", "max-height", "margin", "margin-top", "margin-right", "margin-bottom", "margin-left",
		"padding", "padding-top", "padding-right", "padding-bottom", "padding-left", "border-radius", "border-spacing", "text-indent").Matching(v.measures).Globally()
	s.AllowStyles("border", "border-top", "border-right", "border-bottom", "border-left").Matching(v.border).Globally()
	s.AllowStyles("display").Matching(v.display).Globally()
	s.RequireParseableURLs(true)
	s.AllowURLSchemes("cid")
	s.AllowURLSchemeWithCustomPolicy("data", inlinePicture)
	s.SkipElementsContent("svg", "math", "template", "select", "textarea", "xmp", "plaintext", "noembed", "noframes", "noscript", "iframe", "object", "title")
	return s
}

// inlinePicture lets a picture in that is written out in the HTML (RFC 2397).
func inlinePicture(u *url.URL) bool {
	kind, rest, ok := strings.Cut(u.Opaque, ";base64,")
	if !ok || !rasters[kind] || len(rest) > maxPicture || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	_, err := base64.StdEncoding.DecodeString(rest)
	return err == nil
}

// FileName is a name under which a browser may save a part: the sender's, kept to what
// no system takes for a path or an order.
func FileName(name, section string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		case r == ' ':
			return '_'
		}
		return -1
	}, name)
	name = strings.TrimLeft(name[max(0, len(name)-maxFileName):], ".-")
	if name == "" {
		return "part-" + section + ".bin"
	}
	return name
}

// maxFileName bounds a name, in bytes; its end says of which kind the file is.
const maxFileName = 80
