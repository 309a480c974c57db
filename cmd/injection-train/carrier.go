package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// carriers are harmless mails of one text, in which another text can be put: what
// carries an instruction must not tell that there is one.
type carriers struct {
	all    []*example
	byLang map[string][]*example
	random *rand.Rand
}

func newCarriers(examples []*example, r *rand.Rand) *carriers {
	c := &carriers{byLang: map[string][]*example{}, random: r}
	for _, e := range examples {
		if !e.mail() || e.plain || e.line || !simple(e.raw) {
			continue
		}
		c.all = append(c.all, e)
		if e.ours() {
			c.byLang[e.Lang] = append(c.byLang[e.Lang], e)
		}
	}
	return c
}

// simple reports whether a message is a header and a text as it is.
func simple(raw []byte) bool {
	header, body, ok := bytes.Cut(raw, []byte("\n\n"))
	lower := bytes.ToLower(header)
	return ok && len(bytes.TrimSpace(body)) > 0 && !bytes.Contains(lower, []byte("multipart/")) && !bytes.Contains(lower, []byte("base64")) &&
		!bytes.Contains(lower, []byte("quoted-printable")) && !bytes.Contains(lower, []byte("text/html"))
}

// one is a carrier in a language, or any if there is none.
func (c *carriers) one(lang string) *example {
	list := c.byLang[lang]
	if len(list) == 0 {
		list = c.all
	}
	return list[c.random.IntN(len(list))]
}

// put makes an example of a text inside of a carrier: between paragraphs, at the end
// of one, or before its first.
func (c *carriers) put(of, carrier *example, n int, texts [][]byte) *example {
	header, body, _ := bytes.Cut(carrier.raw, []byte("\n\n"))
	paragraphs := bytes.Split(body, []byte("\n\n"))
	for _, text := range texts {
		at := c.random.IntN(len(paragraphs))
		join := "\n\n"
		if c.random.IntN(2) == 0 {
			join = " "
		}
		paragraphs[at] = bytes.Join([][]byte{paragraphs[at], text}, []byte(join))
	}
	raw := bytes.Join([][]byte{header, bytes.Join(paragraphs, []byte("\n\n"))}, []byte("\n\n"))
	e := *of
	e.ID, e.raw, e.plain, e.passages, e.marked = fmt.Sprintf("%s-carried-%d", of.ID, n), raw, false, nil, nil
	if e.stretches != nil {
		e.stretches = texts
	}
	return &e
}

// carried makes more examples: instructions in mails where there were none, and
// harmless paragraphs in mails where they were not, so that neither the mail around a
// text nor a change of tone or language tells.
func carried(examples []*example, copies int, seed uint64) []*example {
	r := rand.New(rand.NewPCG(seed, 3))
	c := newCarriers(examples, r)
	var more []*example
	for _, e := range examples {
		switch {
		case e.Label == 1 && e.ours():
			for n := range copies {
				lang := e.Lang
				if n%2 == 1 {
					lang = ""
				}
				more = append(more, c.put(e, c.one(lang), n, e.stretches))
			}
		case e.Label == 1 && len(e.marked) > 0 && e.Kind == "attack_mail" && r.IntN(3) == 0:
			more = append(more, c.put(e, c.one("en"), 0, e.stretches))
		case e.ours():
			for n := range (copies + 1) / 2 {
				more = append(more, c.put(e, c.one([]string{e.Lang, ""}[r.IntN(2)]), n, [][]byte{someParagraphs(e.raw, r)}))
			}
		}
	}
	takeApart(more)
	return more
}

// someParagraphs are one to three paragraphs of a message.
func someParagraphs(raw []byte, r *rand.Rand) []byte {
	_, body, _ := bytes.Cut(raw, []byte("\n\n"))
	list := bytes.Split(bytes.TrimSpace(body), []byte("\n\n"))
	from := r.IntN(len(list))
	to := min(len(list), from+1+r.IntN(3))
	return bytes.Join(list[from:to], []byte("\n\n"))
}
