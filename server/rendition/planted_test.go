package rendition_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"postern/server/message"
	"postern/server/rendition"
)

// planted is the text that nobody sees, and in plain the one that everybody does.
const (
	planted = "PLANTED-3141"
	inSight = "In plain sight"
)

// rendered is what the rendition of a message shows: its bytes, and those of its parts and
// header fields without their encodings.
func rendered(t testing.TB, eml string) string {
	t.Helper()
	out, err := rendition.Render(source(eml))
	if err != nil {
		t.Fatal(err)
	}
	view := bytes.NewReader(out)
	s := message.Parse(view, int64(len(out)))
	if s.Defects != 0 {
		t.Errorf("the rendition has defects: %v\n%s", s.Defects.Names(), out)
	}
	var all strings.Builder
	all.Write(out)
	var walk func(p *message.Part)
	walk = func(p *message.Part) {
		for f := range message.Fields(out[p.Header.Start:p.Header.End]) {
			fmt.Fprintf(&all, "%s: %s\n", f.Name, message.DecodeWords(f.Value()))
		}
		for i := range p.Children {
			walk(&p.Children[i])
		}
		if p.Message != nil {
			walk(&p.Message.Root)
		} else if !p.IsMultipart() {
			b, err := io.ReadAll(message.TextReader(view, p))
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
		}
	}
	walk(&s.Root)
	return all.String()
}

func source(eml string) rendition.Source {
	eml = strings.ReplaceAll(eml, "\n", "\r\n")
	r := strings.NewReader(eml)
	return rendition.Source{View: r, Structure: message.Parse(r, int64(len(eml)))}
}

func page(body string) string {
	return "From: Ann <ann@example.com>\nSubject: Hello\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n" + body + "\n"
}

func mail(header, body string) string {
	return "From: Ann <ann@example.com>\nSubject: Hello\nMIME-Version: 1.0\n" + header + "\n" + body
}

func parts(kind string, all ...string) string {
	return mail("Content-Type: multipart/"+kind+"; boundary=b\n", "--b\n"+strings.Join(all, "\n--b\n")+"\n--b--\n")
}

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// tags spells a text in tag characters.
func tags(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(0xE0000 + r)
	}
	return b.String()
}

var hiddenInHTML = map[string]string{
	"comment":                    `<!-- PLANTED-3141 --><p>In plain sight`,
	"comment that ends early":    `<!--><p>In plain sight<!--a--!><!-- PLANTED-3141 -->`,
	"conditional comment":        `<!--[if mso]><p>PLANTED-3141</p><![endif]--><p>In plain sight`,
	"bogus comment":              `<?php PLANTED-3141 ?><!DOCTYPE PLANTED-3141><p>In plain sight`,
	"display none":               `<div style="display:none">PLANTED-3141</div><p>In plain sight`,
	"display none, spelled":      `<div style="DISPLAY : NONE !important">PLANTED-3141</div><p>In plain sight`,
	"display none, escaped":      `<div style="d\69splay:n\6fne">PLANTED-3141</div><p>In plain sight`,
	"display none, entity":       `<div style="display&#58;none">PLANTED-3141</div><p>In plain sight`,
	"display none, commented":    `<div style="display:/**/none">PLANTED-3141</div><p>In plain sight`,
	"second style":               `<div style="display:none" style="">PLANTED-3141</div><p>In plain sight`,
	"visibility":                 `<div style="visibility:hidden"><b>PLANTED-3141</b></div><p>In plain sight`,
	"font of no size":            `<span style="font-size:0">PLANTED-3141</span><p>In plain sight`,
	"font of one pixel":          `<span style="font:1px/1 Arial">PLANTED-3141</span><p>In plain sight`,
	"font in parts":              `<div style="font-size:.3em"><span style="font-size:50%">PLANTED-3141</span></div><p>In plain sight`,
	"no height":                  `<div style="height:0;overflow:hidden">PLANTED-3141</div><p>In plain sight`,
	"max-height":                 `<div style="max-height:0px;mso-hide:all">PLANTED-3141</div><p>In plain sight`,
	"opacity":                    `<div style="opacity:0.01">PLANTED-3141</div><p>In plain sight`,
	"white on white":             `<span style="color:#fff">PLANTED-3141</span><p>In plain sight`,
	"nearly white":               `<span style="color:rgb(250, 252, 253)">PLANTED-3141</span><p>In plain sight`,
	"white by name":              `<font color="ghostwhite">PLANTED-3141</font><p>In plain sight`,
	"white by hsl":               `<span style="color:hsl(120deg 10% 99%)">PLANTED-3141</span><p>In plain sight`,
	"transparent":                `<span style="color:rgba(0,0,0,0)">PLANTED-3141</span><p>In plain sight`,
	"transparent, short":         `<span style="color:#0000">PLANTED-3141</span><p>In plain sight`,
	"a colour unknown here":      `<span style="color:var(--x)">PLANTED-3141</span><p>In plain sight`,
	"black on black":             `<table bgcolor="#000"><tr><td><span>PLANTED-3141</span></table><p>In plain sight`,
	"colour of the card":         `<div style="background-color:#336699"><span style="color:#336698">PLANTED-3141</span></div><p>In plain sight`,
	"white on white by class":    `<style>.q{color:white}</style><span class="q">PLANTED-3141</span><p>In plain sight`,
	"hidden by class":            `<style>@media screen { .a .q, td.none{display:none} }</style><div class=a><p><span class="x q">PLANTED-3141</span></div><p>In plain sight`,
	"hidden by a later sheet":    `<span class="q">PLANTED-3141</span><p>In plain sight<style>.q{font-size:0}</style>`,
	"hidden by id":               `<style>#q{position:absolute;left:-9999px}</style><span id="q">PLANTED-3141</span><p>In plain sight`,
	"hidden by attribute":        `<style>[data-q]{display:none}</style><p data-q=1>PLANTED-3141</p><p>In plain sight`,
	"hidden by an odd selector":  `<style>b:nth-child(2){display:none}</style><div><i>x</i><b>PLANTED-3141</b></div><p>In plain sight`,
	"hidden by sibling":          `<style>i + b{display:none}</style><div><i>x</i><b>PLANTED-3141</b></div><p>In plain sight`,
	"hidden by a nested rule":    `<style>.a{color:black; .q{display:none}}</style><div class=a><b class=q>PLANTED-3141</b></div><p>In plain sight`,
	"weaker rule shows":          `<style>b.q{color:white} .q{color:black}</style><b class=q>PLANTED-3141</b><p>In plain sight`,
	"other case shows":           `<style>.q{color:white} .Q{color:black}</style><b class=q>PLANTED-3141</b><p>In plain sight`,
	"important hides":            `<style>.q{color:white!important}</style><b class=q style="color:black">PLANTED-3141</b><p>In plain sight`,
	"off the screen":             `<div style="position:absolute;left:-5000px">PLANTED-3141</div><p>In plain sight`,
	"indent":                     `<div style="text-indent:-999em">PLANTED-3141</div><p>In plain sight`,
	"moved":                      `<div style="transform:translateX(-9999px)">PLANTED-3141</div><p>In plain sight`,
	"scaled":                     `<div style="transform:scale(0,0)">PLANTED-3141</div><p>In plain sight`,
	"clipped":                    `<div style="clip-path: inset(100%)">PLANTED-3141</div><p>In plain sight`,
	"clipped for readers":        `<div style="position:absolute;width:1px;height:1px;overflow:hidden">PLANTED-3141</div><p>In plain sight`,
	"hidden attribute":           `<div hidden>PLANTED-3141</div><p>In plain sight`,
	"alt":                        `<img alt="PLANTED-3141" src="https://example.com/PLANTED-3141.png"><p>In plain sight`,
	"title and data":             `<p title="PLANTED-3141" data-x="PLANTED-3141" aria-label="PLANTED-3141">In plain sight`,
	"query of a link":            `<p><a href="https://example.com/?q=PLANTED-3141#PLANTED-3141">In plain sight</a>`,
	"address of a mail link":     `<p><a href="mailto:ann@example.com?subject=PLANTED-3141">In plain sight</a>`,
	"script link":                `<p><a href="javascript:alert('PLANTED-3141')">In plain sight</a>`,
	"user of a link":             `<p><a href="https://PLANTED-3141@example.com/">In plain sight</a>`,
	"link without text":          `<a href="https://example.com/PLANTED-3141"></a><p>In plain sight`,
	"preheader":                  `<span style="display:none;font-size:1px;color:#fff;max-height:0">PLANTED-3141</span><p>In plain sight`,
	"head":                       `<html><head><title>PLANTED-3141</title><meta name=description content="PLANTED-3141"><style>/*PLANTED-3141*/</style></head><body><p>In plain sight`,
	"script":                     `<script>var x="PLANTED-3141"</script><noscript>PLANTED-3141</noscript><template><p>PLANTED-3141</template><p>In plain sight`,
	"noscript with a trap":       `<noscript><a title="</noscript>PLANTED-3141"></a></noscript><p>In plain sight`,
	"svg":                        `<svg><text>PLANTED-3141</text><title>PLANTED-3141</title></svg><p>In plain sight`,
	"math":                       `<math><annotation>PLANTED-3141</annotation></math><p>In plain sight`,
	"form":                       `<form><input value="PLANTED-3141" placeholder="PLANTED-3141"><textarea>PLANTED-3141</textarea><select><option>PLANTED-3141</select></form><p>In plain sight`,
	"object":                     `<object data="x">PLANTED-3141</object><iframe srcdoc="PLANTED-3141">PLANTED-3141</iframe><video>PLANTED-3141</video><p>In plain sight`,
	"details":                    `<details><summary>x</summary>PLANTED-3141</details><p>In plain sight`,
	"end tag out of reach":       `<p>In plain sight<div hidden><table><tr><td></div>PLANTED-3141`,
	"end tag of formatting":      `<p>In plain sight</p><b><div hidden></b>PLANTED-3141</div>`,
	"formatting that goes on":    `<p>In plain sight<div><b hidden></div>PLANTED-3141`,
	"formatting on other paper":  `<p>In plain sight<div style="color:#fff"><div style="background:#000"><b></div>PLANTED-3141</div>`,
	"span across a block":        `<p>In plain sight</p><span hidden><div></span>PLANTED-3141</div></span>`,
	"cell without a table":       `<p>In plain sight<tr><div hidden><tr>PLANTED-3141`,
	"style not closed":           `<p>In plain sight<style>PLANTED-3141`,
	"comment not closed":         `<p>In plain sight<!-- PLANTED-3141`,
	"attribute with a tag in it": `<p title="> PLANTED-3141">In plain sight`,
	"tag characters":             "<p>In plain sight" + tags("PLANTED-3141"),
	"deep":                       "<p>In plain sight</p>" + strings.Repeat("<div>", 300) + "PLANTED-3141",
}

var hiddenInMessages = map[string]string{
	"preamble and epilogue": mail("Content-Type: multipart/mixed; boundary=b\n", planted+"\n--b\n\n"+inSight+"\n--b--\n"+planted+"\n"),
	"other alternative":     parts("alternative", "\n"+planted, "Content-Type: text/html\n\n<p>"+inSight),
	"amp alternative":       parts("alternative", "\nsomething", "Content-Type: text/x-amp-html\n\n"+planted, "Content-Type: text/html\n\n<p>"+inSight),
	"unknown alternative":   parts("alternative", "Content-Type: text/html\n\n<p>"+inSight, "Content-Type: text/x-unknown\n\n"+planted),
	"part's fields": parts("mixed", "Content-Description: "+planted+"\nContent-ID: <"+planted+"@x>\nContent-Location: "+planted+"\nX-Note: "+planted+"\n\n"+inSight,
		"Content-Type: text/plain; name=\""+planted+".txt\"; x="+planted+"\nContent-Disposition: attachment; filename*=utf-8''"+planted+"; y="+planted+"\n\nattached"),
	"type of an attachment":     parts("mixed", "\n"+inSight, "Content-Type: "+planted+"/"+planted+"; name="+planted+"\n\n"+planted),
	"other attachments":         parts("mixed", "\n"+inSight, "Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n"+encoded(planted), "Content-Type: image/png\n\n"+planted, "Content-Type: application/octet-stream\n\n"+planted),
	"encoding of its own":       parts("mixed", "\n"+inSight, "Content-Type: text/plain\nContent-Transfer-Encoding: "+planted+"\n\n"+planted),
	"related":                   parts("related", "Content-Type: text/html\n\n<p>"+inSight, "Content-Type: image/svg+xml\nContent-ID: <x@y>\n\n<svg>"+planted+"</svg>"),
	"signature":                 parts("signed; protocol=x", "\n"+inSight, "Content-Type: application/pgp-signature\n\n"+planted),
	"boundary":                  mail("Content-Type: multipart/mixed; boundary=\""+planted+"\"\n", "--"+planted+"\n\n"+inSight+"\n--"+planted+"--\n"),
	"header comments":           "From: Ann (" + planted + ") <ann@example.com> (" + planted + ")\nTo: (" + planted + ") bob@example.com\nDate: Mon, 1 Jun 2026 10:00:00 +0000 (" + planted + ")\nMIME-Version: 1.0 (" + planted + ")\nContent-Type: text/plain (" + planted + ")\nIn-Reply-To: " + planted + " <a@b>\nReferences: (" + planted + ") <a@b>\n\n" + inSight + "\n",
	"other fields":              mail("X-Note: "+planted+"\nComments: "+planted+"\nKeywords: "+planted+"\nReceived: from x ("+planted+") by y; Mon, 1 Jun 2026 10:00:00 +0000\nList-Unsubscribe: <https://x/"+planted+">\nList-ID: "+planted+" <a.example.com>\nUser-Agent: "+planted+"\nThread-Topic: "+planted+"\nDKIM-Signature: v=1; "+planted+"\nAuto-Submitted: auto-replied; x="+planted+"\n", inSight+"\n"),
	"message id with a text":    mail("Message-ID: <\""+planted+"\"@example.com>\n", inSight+"\n"),
	"subject in tag characters": "From: Ann <ann@example.com>\nSubject: =?utf-8?b?" + encoded(tags(planted)) + "?=\n\n" + inSight + "\n",
	"name in tag characters":    "From: =?utf-8?b?" + encoded("Ann"+tags(planted)) + "?= <ann@example.com>\nSubject: x\n\n" + inSight + "\n",
	"text in tag characters":    mail("Content-Type: text/plain; charset=utf-8\n", inSight+tags(planted)+"\n"),
	"variation selectors":       mail("Content-Type: text/plain; charset=utf-8\n", inSight+"\u200b\ufe01"+strings.Repeat("\U000E0142", 20)+"\n"),
	"group name":                "From: Ann <ann@example.com>\nTo: " + planted + ":;\nSubject: x\n\n" + inSight + "\n",
	"calendar":                  parts("mixed", "\n"+inSight, "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nX-WR-CALDESC:"+planted+"\nPRODID:"+planted+"\nMETHOD:REQUEST\nBEGIN:VEVENT\nSUMMARY;X-A="+planted+";LANGUAGE="+planted+":Lunch\nCOMMENT:"+planted+"\nX-ALT-DESC;FMTTYPE=text/html:"+planted+"\nATTENDEE;ROLE=\""+planted+" x\":mailto:bob@example.com\nBEGIN:VALARM\nDESCRIPTION:"+planted+"\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR"),
	"delivery report":           parts("report", "\n"+inSight, "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\nFinal-Recipient: rfc822; bob@example.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 "+planted+"\n "+planted),
	"message in a message":      parts("mixed", "\n"+inSight, "Content-Type: message/rfc822\n\nFrom: Bob ("+planted+") <bob@example.com>\nX-Note: "+planted+"\nContent-Type: text/html\n\n<p hidden>"+planted+"</p>Forwarded"),
	"html attached":             parts("mixed", "\n"+inSight, "Content-Type: text/html; name=x.html\nContent-Disposition: attachment\n\n<!--"+planted+"-->attached"),
	"encrypted":                 parts("encrypted; protocol=x", "Content-Type: application/pgp-encrypted\n\n"+planted, "Content-Type: application/octet-stream\n\n"+planted+inSight),
	"external body":             parts("mixed", "\n"+inSight, "Content-Type: message/external-body; access-type=url; url="+planted+"\n\nContent-Type: text/plain\n\n"+planted),
	"partial message":           parts("mixed", "\n"+inSight, "Content-Type: message/partial; id="+planted+"\n\n"+planted),
}

func TestCO6_NothingHiddenIsRendered(t *testing.T) {
	for name, body := range hiddenInHTML {
		t.Run(name, func(t *testing.T) { assertSafe(t, page(body), true) })
	}
	for name, eml := range hiddenInMessages {
		t.Run(name, func(t *testing.T) { assertSafe(t, eml, name != "encrypted") })
	}
}

func assertSafe(t *testing.T, eml string, sight bool) {
	t.Helper()
	got := rendered(t, eml)
	if i := strings.Index(got, "PLANTED"); i >= 0 {
		t.Errorf("shown: %s", got)
	}
	for _, r := range got {
		if 0xE0000 <= r && r <= 0xE0FFF || r == 0x200b || r == 0xfe01 {
			t.Errorf("%U in %s", r, got)
			break
		}
	}
	if sight && !strings.Contains(got, inSight) {
		t.Errorf("not shown: %s", got)
	}
}
