package injection

import (
	"io"

	"postern/server/message"
)

// BlockWords and WindowBlocks are the sizes in which a text is judged: a window of
// forty words, moved by eight. An instruction has that length; a whole mail would
// drown it.
const (
	BlockWords   = 8
	WindowBlocks = 5
)

// A Passage is one view of a message as the model sees it: features in blocks of words.
// It has hashes and numbers, and no words. The trainer works on it.
type Passage struct {
	View   View
	Part   string
	Chain  Chain
	Whole  []uint32 // features of the text as a whole: its view, its signals of form
	Blocks []Block

	segment segment
	places  []place // of each block, in the segment's text
	signals signals
}

// A Block is eight words.
type Block struct {
	Features []uint32
	Slots    uint16 // those of all its words
	Core     []uint32
}

type place struct{ start, end int }

// Input is a message to judge: its bytes as they came, and what Parse found.
type Input struct {
	Body      io.ReaderAt
	Structure *message.Structure
}

// maxTexts bounds the texts of one message, decoded ones included.
const maxTexts = 4000

// reader takes a message apart into texts. It may be used again.
type reader struct {
	words    words
	features features
	texts    int
	decoded  int // bytes of decoded text that may still be looked at
	skipped  []Skipped
	use      func(*Passage)
	passage  Passage // handed to use, which must not keep it
}

// Passages calls use for every view of every part of a message, in order. The Passage and
// what it points to is valid during the call alone. What was not looked at is
// returned.
func Passages(in Input, use func(*Passage)) []Skipped {
	r := reader{use: use}
	r.message(in)
	return r.skipped
}

func (r *reader) message(in Input) {
	r.texts, r.decoded, r.skipped = 0, maxText, nil
	w := walk{body: in.Body, emit: r.segment, left: maxText, skip: r.skip}
	w.message(in.Structure)
}

// skip notes that something was not looked at; a few notes are enough.
func (r *reader) skip(part, why string) {
	const notes = 32
	for _, s := range r.skipped {
		if s.Part == part && s.Why == why {
			return
		}
	}
	if len(r.skipped) < notes {
		r.skipped = append(r.skipped, Skipped{part, why})
	}
}

// segment judges a text, and then what is encoded in it.
func (r *reader) segment(s segment) {
	if r.texts++; r.texts > maxTexts {
		r.skip(s.part, "limit")
		return
	}
	r.words.read(s.text)
	words4slots.mark(&r.words)
	markForms(&r.words, s.text)
	r.features.extract(&r.words)
	r.build(s)
	tags, selectors := append([]byte(nil), r.words.tags...), append([]byte(nil), r.words.selectors...)
	turned, backwards := telltales.count(&r.words)
	r.use(&r.passage)
	r.inner(s, Invisible, stepTags, 0, tags)
	r.inner(s, Invisible, stepSelectors, 0, selectors)
	if turned >= minTelltales {
		r.inner(s, Decoded, stepROT13, 0, rot13(s.text))
	}
	if backwards >= minTelltales {
		r.inner(s, Decoded, stepReversed, 0, reversed(s.text))
	}
	if s.chain.len() == maxChain {
		return
	}
	for _, f := range decodings(s.text) {
		r.inner(s, Decoded, f.step, f.start, f.text)
	}
}

// inner judges what a segment says when it is decoded. Places in it are places of
// the run that it was.
func (r *reader) inner(s segment, v View, step Step, at int, text []byte) {
	chain, ok := s.chain.then(step)
	if !ok || len(text) == 0 {
		return
	}
	if len(text) > r.decoded {
		r.skip(s.part, "limit")
		return
	}
	r.decoded -= len(text)
	r.segment(segment{view: v, part: s.part, text: text, at: s.at + at, chain: chain})
}

// build cuts the features into blocks.
func (r *reader) build(s segment) {
	t := &r.passage
	t.View, t.Part, t.Chain, t.segment, t.signals = s.view, s.part, s.chain, s, r.words.signals
	t.Whole = append(t.Whole[:0], wholeFeatures(s.view, &r.words)...)
	t.Blocks, t.places = t.Blocks[:0], t.places[:0]
	for i := 0; i < len(r.words.list); i += BlockWords {
		j := min(i+BlockWords, len(r.words.list))
		from := int32(0)
		if i > 0 {
			from = r.features.ends[i-1]
		}
		b := Block{Features: r.features.list[from:r.features.ends[j-1]]}
		from = 0
		if i > 0 {
			from = r.features.coreEnds[i-1]
		}
		b.Core = r.features.core[from:r.features.coreEnds[j-1]]
		for _, w := range r.words.list[i:j] {
			b.Slots |= uint16(w.slots)
		}
		t.Blocks = append(t.Blocks, b)
		t.places = append(t.places, place{int(r.words.list[i].start), int(r.words.list[j-1].end)})
	}
}

// wholeFeatures are the view of a text and what its form shows, each count in steps.
func wholeFeatures(v View, w *words) []uint32 {
	list := []uint32{mix(kindView, uint32(v), 0) & bucket}
	for i, n := range []int{w.signals.zeroWidth, w.signals.bidi, w.signals.mixed, w.signals.styled, w.signals.leet, w.signals.spaced, len(w.tags), len(w.selectors)} {
		for step, bound := range []int{0, 3, 20} {
			if n > bound {
				list = append(list, mix(kindSignal, uint32(i), uint32(step))&bucket)
			}
		}
	}
	return list
}

// maskFeature is that of all slots of a window together.
func maskFeature(s uint16) uint32 { return mix(kindMask, uint32(s), 0) & bucket }

// Window gives the features of the window that begins at block i, one list after
// the other, and how many blocks it has.
func (p *Passage) Window(i int) (blocks []Block, mask uint32) {
	blocks = p.Blocks[i:min(i+WindowBlocks, len(p.Blocks))]
	var s uint16
	for _, b := range blocks {
		s |= b.Slots
	}
	return blocks, maskFeature(s)
}

// Windows is how many windows the text has.
func (p *Passage) Windows() int {
	if len(p.Blocks) == 0 {
		return 0
	}
	return max(1, len(p.Blocks)-WindowBlocks+1)
}

// PassagesOfText is Passages for a text that is in no message.
func PassagesOfText(text []byte, use func(*Passage)) []Skipped {
	r := reader{use: use, decoded: maxText}
	r.segment(segment{view: Text, part: "1", text: text})
	return r.skipped
}
