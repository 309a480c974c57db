package rendition

import "golang.org/x/net/html/atom"

func tags(list ...atom.Atom) map[atom.Atom]bool {
	m := make(map[atom.Atom]bool, len(list))
	for _, a := range list {
		m[a] = true
	}
	return m
}

var (
	// void elements have nothing in them (HTML, section 13.1.2).
	void = tags(atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Image, atom.Input, atom.Link, atom.Meta, atom.Param,
		atom.Source, atom.Track, atom.Wbr, atom.Keygen, atom.Frame, atom.Basefont, atom.Bgsound)

	// unshown elements show nothing of the text in them, or what no mail program shows.
	unshown = tags(atom.Title, atom.Style, atom.Script, atom.Template, atom.Noscript, atom.Noframes, atom.Noembed, atom.Iframe, atom.Object,
		atom.Applet, atom.Video, atom.Audio, atom.Canvas, atom.Svg, atom.Math, atom.Select, atom.Option, atom.Optgroup, atom.Datalist, atom.Textarea,
		atom.Xmp, atom.Plaintext, atom.Rp, atom.Frameset, atom.Map, atom.Picture)

	// rawText elements hold text in which no tag counts but their own end (HTML, section 13.2.6.2).
	rawText = tags(atom.Title, atom.Style, atom.Script, atom.Noframes, atom.Noembed, atom.Iframe, atom.Textarea, atom.Xmp, atom.Plaintext)

	// bounds are what an end tag does not reach out of (HTML, section 13.2.4.2: has an element in scope).
	bounds = tags(atom.Applet, atom.Caption, atom.Html, atom.Table, atom.Td, atom.Th, atom.Marquee, atom.Object, atom.Template, atom.Button, atom.Svg, atom.Math,
		atom.Select)

	// inTable elements mean nothing outside of a table.
	inTable = tags(atom.Caption, atom.Colgroup, atom.Tbody, atom.Thead, atom.Tfoot, atom.Tr, atom.Td, atom.Th)

	// formatting elements go on where what they stand in ends (HTML, section 13.2.4.3).
	formatting = tags(atom.A, atom.B, atom.Big, atom.Code, atom.Em, atom.Font, atom.I, atom.Nobr, atom.S, atom.Small, atom.Strike, atom.Strong, atom.Tt, atom.U)

	// special elements are those of a page's structure (HTML, section 13.2.4.2).
	special = tags(atom.Address, atom.Applet, atom.Article, atom.Aside, atom.Blockquote, atom.Body, atom.Button, atom.Caption, atom.Center, atom.Colgroup,
		atom.Dd, atom.Details, atom.Dir, atom.Div, atom.Dl, atom.Dt, atom.Fieldset, atom.Figcaption, atom.Figure, atom.Footer, atom.Form, atom.Frameset,
		atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Head, atom.Header, atom.Hgroup, atom.Html, atom.Iframe, atom.Li, atom.Listing, atom.Main,
		atom.Marquee, atom.Menu, atom.Nav, atom.Noembed, atom.Noframes, atom.Noscript, atom.Object, atom.Ol, atom.P, atom.Plaintext, atom.Pre, atom.Script,
		atom.Section, atom.Select, atom.Style, atom.Summary, atom.Table, atom.Tbody, atom.Td, atom.Template, atom.Textarea, atom.Tfoot, atom.Th, atom.Thead,
		atom.Title, atom.Tr, atom.Ul, atom.Xmp, atom.Svg, atom.Math)

	// closesP are those before which a paragraph ends. A table is not among them: in pages without a
	// doctype it stands in the paragraph.
	closesP = tags(atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Center, atom.Details, atom.Dialog, atom.Dir, atom.Div, atom.Dl, atom.Fieldset,
		atom.Figcaption, atom.Figure, atom.Footer, atom.Form, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Header, atom.Hgroup, atom.Li, atom.Main, atom.Menu,
		atom.Nav, atom.Ol, atom.P, atom.Pre, atom.Section, atom.Summary, atom.Ul, atom.Dd, atom.Dt)

	// paragraphs stand apart from what is around, blocks on lines of their own.
	paragraphs = tags(atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Ul, atom.Ol, atom.Dl, atom.Blockquote, atom.Pre, atom.Table)
	blocks     = tags(atom.Address, atom.Article, atom.Aside, atom.Center, atom.Caption, atom.Dd, atom.Dir, atom.Div, atom.Dt, atom.Fieldset, atom.Figcaption,
		atom.Figure, atom.Footer, atom.Form, atom.Header, atom.Hgroup, atom.Legend, atom.Main, atom.Menu, atom.Nav, atom.Section, atom.Tr, atom.Tbody, atom.Thead,
		atom.Tfoot, atom.Button, atom.Marquee)
)
