package injection

import (
	"bytes"
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
	text    []byte  // the piece of the segment's text that this is about
	places  []where // of each block, in the segment's text
	signals signals
	words   int
}

// A Block is eight words.
type Block struct {
	Words Traits
	Frame Traits
	Slots uint16 // those of all its words
}

type where struct{ start, end int }

// Input is a message to judge: its bytes as they came, and what Parse found.
type Input struct {
	Body      io.ReaderAt
	Structure *message.Structure
}

// maxTexts bounds the texts of one message, decoded ones included.
const maxTexts = 4000

// Bounds of judging one text. A longer one is judged in pieces that overlap by a
// window, so that memory does not grow with it.
const (
	maxPiece = 32 << 10 // bytes of a piece
	overlap  = 512      // bytes in which two pieces agree
)

// Shares of one message in the work that judging takes, which is many times that of
// reading. A text takes at most half of what is left of its share, so that those behind
// it have theirs; of one that is longer, the beginning and the end are judged.
const (
	maxJudged  = 6 << 20 // bytes of text as it stands in the parts: more than a long novel has
	maxDecoded = 4 << 20 // bytes that were decoded from such text
	minDecoded = 2 << 20 // so many at least, and a part of the size of the message

	decodedShare = 4 // one byte for so many of the message
	endShare     = 4 // of a text that is too long, one part in so many is judged at its end
)

// reader takes a message apart into texts. It may be used again.
type reader struct {
	words    words
	speech   speech
	features features
	texts    int
	left     int // bytes of text that may still be judged
	decoded  int // and of decoded text
	skipped  []Skipped
	use      func(*Passage)
	passage  Passage // handed to use, which must not keep it
	looked   int     // bytes of text that were looked at, each time

	alternatives alternatives
	differ       func(*alternatives) // judges them at the end of a body that has some; may be nil
}

// Passages calls use for every view of every part of a message, in order. The Passage and
// what it points to is valid during the call alone. What was not looked at is
// returned.
func Passages(in Input, use func(*Passage)) []Skipped {
	r := reader{use: use}
	r.message(in)
	return r.skipped
}

// begin begins a message of a size, in bytes.
func (r *reader) begin(size int64) {
	r.texts, r.skipped, r.looked = 0, nil, 0
	r.left, r.decoded = maxJudged, int(min(maxDecoded, minDecoded+max(size, 0)/decodedShare))
}

func (r *reader) message(in Input) {
	r.begin(in.Structure.Size)
	w := newWalk(in.Body, r.segment, r.skip)
	w.alternatives = r.body
	w.message(in.Structure)
}

// body begins and ends the alternatives of a body.
func (r *reader) body(begin bool) {
	if begin {
		r.alternatives.open()
	} else if r.differ != nil {
		r.differ(&r.alternatives)
	}
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

// segment judges a text of a part.
func (r *reader) segment(s segment) { r.judge(&s, &r.left) }

// judge judges a text, and then what is encoded in it, within a share.
func (r *reader) judge(s *segment, share *int) {
	if r.texts++; r.texts > maxTexts {
		r.skip(s.part, "limit")
		return
	}
	head, tail := ends(len(s.text), *share/2)
	if head < tail {
		r.skip(s.part, "limit")
	}
	*share -= head + len(s.text) - tail
	tags, selectors := r.stretch(s, 0, head)
	t, v := r.stretch(s, tail, len(s.text))
	r.inner(s, Invisible, stepTags, 0, len(s.text), append(tags, t...))
	r.inner(s, Invisible, stepSelectors, 0, len(s.text), append(selectors, v...))
	r.encoded(s, 0, head)
	r.encoded(s, tail, len(s.text))
}

// ends are where the beginning of a text ends, and where its end begins, when at most
// so many bytes of it may be judged: equal for a text that is not too long.
func ends(size, most int) (head, tail int) {
	if size <= most {
		return size, size
	}
	return most - most/endShare, size - most/endShare
}

// stretch judges a stretch of a text, in pieces. It returns what is written in it
// without a glyph.
func (r *reader) stretch(s *segment, from, end int) (tags, selectors []byte) {
	if from == end {
		return nil, nil
	}
	r.looked += end - from
	for {
		to := pieceEnd(s.text[:end], from)
		t, v := r.piece(s, from, to)
		tags, selectors = append(tags, t...), append(selectors, v...)
		if to == end {
			return tags, selectors
		}
		from = to - overlap
	}
}

// encoded judges what is encoded in a stretch of a text.
func (r *reader) encoded(s *segment, from, to int) {
	if from == to || s.chain.len() == maxChain || without&aspectEncodings != 0 {
		return
	}
	all, more := decodings(s.text[from:to])
	if more {
		r.skip(s.part, "limit")
	}
	for i := range all {
		r.inner(s, Decoded, all[i].step, from+all[i].start, from+all[i].end, all[i].text)
	}
}

// pieceEnd is where the piece of a text that begins at from ends: at a space, if
// there is one near.
func pieceEnd(text []byte, from int) int {
	to := from + maxPiece
	if to >= len(text)-overlap {
		return len(text)
	}
	for i := to; i > to-overlap/2; i-- {
		if text[i] <= ' ' {
			return i
		}
	}
	for to > from && text[to]&0xC0 == 0x80 {
		to--
	}
	return to
}

// piece judges a piece of a text, and what it says when it is turned round. It
// returns what is written in it without a glyph.
func (r *reader) piece(s *segment, from, to int) (tags, selectors []byte) {
	text := s.text[from:to]
	r.words.read(text)
	words4slots().mark(&r.words)
	markForms(&r.words, text)
	r.speech.read(concepts(), &r.words)
	r.features.extract(&r.words, concepts().classes)
	r.build(s, from, to)
	if without&aspectUnseen == 0 {
		tags, selectors = bytes.Clone(r.words.tags), bytes.Clone(r.words.selectors)
	}
	turned, backwards := telltales().count(&r.words)
	r.alternatives.read(s, &r.words)
	r.use(&r.passage)
	if without&aspectTurns != 0 {
		turned, backwards = 0, 0
	}
	if turned >= minTelltales && s.chain.last() != stepROT13 {
		r.inner(s, Decoded, stepROT13, from, to, rot13(text))
	}
	if backwards >= minTelltales && s.chain.last() != stepReversed {
		r.inner(s, Decoded, stepReversed, from, to, reversed(text))
	}
	return tags, selectors
}

// inner judges what the run [from, to) of a segment says when it is decoded.
func (r *reader) inner(s *segment, v View, step Step, from, to int, text []byte) {
	if len(text) == 0 {
		return
	}
	chain, ok := s.chain.then(step)
	if !ok {
		r.skip(s.part, "limit")
		return
	}
	in := segment{view: v, part: s.part, text: text, chain: chain}
	in.at, in.until = s.span(from, to)
	in.declared = s.declared || isDeclared(s.text, from)
	r.judge(&in, &r.decoded)
}

// build cuts the features into blocks.
func (r *reader) build(s *segment, from, to int) {
	t := &r.passage
	t.View, t.Part, t.Chain, t.segment, t.text, t.signals = s.view, s.part, s.chain, *s, s.text[from:to], r.words.signals
	t.words = len(r.words.list)
	t.Whole = append(t.Whole[:0], wholeFeatures(s.view, &r.words)...)
	t.Blocks, t.places = t.Blocks[:0], t.places[:0]
	for i := 0; i < len(r.words.list); i += BlockWords {
		j := min(i+BlockWords, len(r.words.list))
		b := r.features.block(i / BlockWords)
		for _, w := range r.words.list[i:j] {
			b.Slots |= uint16(w.slots)
		}
		t.Blocks = append(t.Blocks, b)
		t.places = append(t.places, where{from + int(r.words.list[i].start), from + int(r.words.list[j-1].end)})
	}
}

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

// Words is how many words the text has, rounded up to whole blocks.
func (p *Passage) Words() int { return len(p.Blocks) * BlockWords }

// Windows is how many windows the text has.
func (p *Passage) Windows() int {
	if len(p.Blocks) == 0 {
		return 0
	}
	return max(1, len(p.Blocks)-WindowBlocks+1)
}

// Find is the blocks from and to in which a stretch of the text stands, as it was
// before normalising; ok tells whether it is there. The trainer looks for what a
// writer has marked.
func (p *Passage) Find(stretch []byte) (from, to int, ok bool) {
	at := bytes.Index(p.segment.text, stretch)
	end := at + len(stretch)
	if at < 0 || len(p.places) == 0 || end <= p.places[0].start || at >= p.places[len(p.places)-1].end {
		return 0, 0, false
	}
	for from < len(p.places)-1 && p.places[from].end <= at {
		from++
	}
	for to = from + 1; to < len(p.places) && p.places[to].start < end; {
		to++
	}
	return from, to, true
}

// PassagesOfText is Passages for a text that is in no message.
func PassagesOfText(text []byte, use func(*Passage)) []Skipped {
	r := reader{use: use}
	r.begin(int64(len(text)))
	r.segment(segment{view: Text, part: "1", text: text})
	return r.skipped
}
