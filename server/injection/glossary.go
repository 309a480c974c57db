package injection

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
)

// A Glossary tells by which words forty languages name some five hundred concepts of
// requests and of ordinary mail: forward, mailbox, without, approved, next. What is
// learned of a request in one language, over concepts, serves in all of them. It has
// hashes of normalised words and no text.
//
// A form may mean one thing here and another there ("die", "no"). So the words around
// it vote on the language first, and only meanings in that one count.
type Glossary struct {
	Classes []uint8 // for each concept: what it is of; concepts of a class are alike in a request
	Terms   []Term
}

// A Term is a form that names a concept.
type Term struct {
	Hash     uint32 // of the normalised form, or beginning of one: see HashTerm
	Language uint8  // below maxLanguages
	Concept  uint16 // index into Classes
}

// Bounds of a glossary.
const (
	maxLanguages      = 48
	maxConcepts       = 1 << 10
	maxConceptClasses = 1 << 7
	maxTerms          = 1 << 17
	maxForm           = 30 // bytes of a beginning; no shorter one is looked for
	maxRun            = 8  // characters of a word in a script without spaces
)

// prefixed sets the hash of a beginning apart from that of a whole word.
const prefixed uint32 = 0x5BD1E995

//go:embed glossary.bin
var shippedGlossary []byte

var concepts = sync.OnceValue(func() *dictionary {
	g, err := DecodeGlossary(shippedGlossary)
	if err != nil {
		panic(err) // our own file: the tests decode it
	}
	return g.index()
})

// HashTerm is the hash of a form as glossaries write it: a star stands for any
// ending. It is false for what is no word.
func HashTerm(form string) (uint32, bool) {
	stem, starred := strings.CutSuffix(form, "*")
	var w words
	w.read([]byte(stem))
	if len(w.list) == 0 || len(w.list) > maxRun {
		return 0, false
	}
	for i := range w.list {
		if len(w.list) > 1 && !w.list[i].alone(&w) {
			return 0, false // more than one word
		}
	}
	h := hashBytes(w.norm)
	if starred && len(w.norm) <= maxForm && !w.list[0].alone(&w) {
		h ^= prefixed
	}
	return h, true
}

const glossaryMagic = "POSTERN-GLOSSARY-1\n"

// AppendBinary appends the stored form. Terms must be sorted by language and hash.
func (g *Glossary) AppendBinary(b []byte) []byte {
	b = append(b, glossaryMagic...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(g.Classes)))
	b = append(b, g.Classes...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(g.Terms)))
	for _, t := range g.Terms {
		b = binary.BigEndian.AppendUint32(b, t.Hash)
		b = binary.BigEndian.AppendUint16(b, uint16(t.Language)<<10|t.Concept)
	}
	return b
}

// DecodeGlossary reads what AppendBinary wrote; ErrModel for everything else.
func DecodeGlossary(b []byte) (*Glossary, error) {
	rest, ok := strings.CutPrefix(string(b), glossaryMagic)
	if !ok || len(rest) < 2 {
		return nil, fmt.Errorf("%w: no glossary", ErrModel)
	}
	b = b[len(glossaryMagic):]
	n := int(binary.BigEndian.Uint16(b))
	if n > maxConcepts || len(b) < 2+n+4 {
		return nil, fmt.Errorf("%w: a glossary of %d concepts", ErrModel, n)
	}
	g := &Glossary{Classes: slices.Clone(b[2 : 2+n])}
	b = b[2+n:]
	count := int(binary.BigEndian.Uint32(b))
	b = b[4:]
	if count > maxTerms || len(b) != 6*count {
		return nil, fmt.Errorf("%w: a glossary of %d terms", ErrModel, count)
	}
	for ; len(b) > 0; b = b[6:] {
		v := binary.BigEndian.Uint16(b[4:])
		t := Term{binary.BigEndian.Uint32(b), uint8(v >> 10), v & (maxConcepts - 1)}
		if int(t.Concept) >= n || t.Language >= maxLanguages || g.Classes[t.Concept] >= maxConceptClasses {
			return nil, fmt.Errorf("%w: a term out of range", ErrModel)
		}
		g.Terms = append(g.Terms, t)
	}
	return g, nil
}

// dictionary is a glossary to look things up in: an open hash table.
type dictionary struct {
	classes []uint8
	known   filter
	mask    uint32
	table   []meaning
}

// meaning is a concept that a form has in some languages; zero languages: none.
type meaning struct {
	hash      uint32
	concept   uint16
	languages uint64
}

func (g *Glossary) index() *dictionary {
	size := 1 << bits.Len(uint(2*len(g.Terms)+1))
	d := &dictionary{classes: g.Classes, mask: uint32(size - 1), table: make([]meaning, size)}
	for _, t := range g.Terms {
		at := t.Hash & d.mask
		for d.table[at].languages != 0 && (d.table[at].hash != t.Hash || d.table[at].concept != t.Concept) {
			at = (at + 1) & d.mask
		}
		d.table[at] = meaning{t.Hash, t.Concept, d.table[at].languages | 1<<t.Language}
		d.known.add(t.Hash)
	}
	return d
}

// candidate is a meaning that a word may have.
type candidate struct {
	languages uint64
	concept   uint16
	length    uint8 // bytes of the form, and one more when it is the whole word
	words     uint8 // that it takes: more than one in a script without spaces
}

// maxCandidates of one word are kept.
const maxCandidates = 12

// look appends the meanings of a hash.
func (d *dictionary) look(list []candidate, h uint32, length, words int) []candidate {
	for at := h & d.mask; d.table[at].languages != 0; at = (at + 1) & d.mask {
		if m := &d.table[at]; m.hash == h && len(list) < maxCandidates {
			list = append(list, candidate{m.languages, m.concept, uint8(length), uint8(words)})
		}
	}
	return list
}

// of finds what word i may mean.
func (d *dictionary) of(list []candidate, w *words, i int) []candidate {
	list = list[:0]
	if w.list[i].alone(w) {
		h, n := hashStart, 0
		for j := i; j < len(w.list) && j < i+maxRun && w.list[j].alone(w); j++ {
			for _, c := range w.at(j) {
				h = hashByte(h, c)
			}
			n += len(w.at(j))
			if d.known.has(h) {
				list = d.look(list, h, n, j-i+1)
			}
		}
		return list
	}
	form := w.at(i)
	h := hashStart
	for n, c := range form[:min(len(form), maxForm)] {
		h = hashByte(h, c)
		if n > 0 && d.known.has(h^prefixed) {
			list = d.look(list, h^prefixed, n+1, 1)
		}
	}
	if whole := w.list[i].hash; d.known.has(whole) {
		list = d.look(list, whole, len(form)+1, 1)
	}
	return list
}

// speech finds the concepts of a text.
type speech struct {
	list  []candidate // of all words
	ends  []int32     // of word i: list[ends[i-1]:ends[i]]
	votes []ballot
	total [maxLanguages]int
	room  [maxCandidates]candidate
}

// ballot counts the votes for each language in a byte of its own, to add eight at a
// time: of the words of 2*around+1 blocks each has one at the most.
type ballot [maxLanguages / 8]uint64

// read gives every word its concept.
func (s *speech) read(d *dictionary, w *words) {
	s.list, s.ends, s.votes, s.total = s.list[:0], s.ends[:0], s.votes[:0], [maxLanguages]int{}
	for i := range w.list {
		if i%BlockWords == 0 {
			s.votes = append(s.votes, ballot{})
		}
		own := d.of(s.room[:0], w, i)
		s.list = append(s.list, own...)
		s.ends = append(s.ends, int32(len(s.list)))
		s.vote(own)
	}
	usual := s.usual()
	var near ballot // votes of the blocks around one
	for b := range min(around, len(s.votes)) {
		near.add(&s.votes[b])
	}
	for b := range s.votes {
		if b > around {
			near.sub(&s.votes[b-around-1])
		}
		if b+around < len(s.votes) {
			near.add(&s.votes[b+around])
		}
		language := s.language(&near, usual)
		for i := b * BlockWords; i < min((b+1)*BlockWords, len(w.list)); i++ {
			s.choose(w, i, language)
		}
	}
}

// vote counts a word for the languages that have it.
func (s *speech) vote(own []candidate) {
	var languages uint64
	for _, c := range own {
		languages |= c.languages
	}
	for ; languages != 0; languages &= languages - 1 {
		l := bits.TrailingZeros64(languages)
		s.votes[len(s.votes)-1][l/8] += 1 << (l % 8 * 8)
		s.total[l]++
	}
}

// around is how many blocks before and after one vote on its language with it.
const around = 2

func (b *ballot) add(o *ballot) {
	for k, eight := range o {
		b[k] += eight
	}
}

func (b *ballot) sub(o *ballot) {
	for k, eight := range o {
		b[k] -= eight
	}
}

// mostTotal bounds the votes of a text that decide among languages with equally many
// in the blocks around.
const mostTotal = 1<<16 - 1

// usual is the language of most words in the text.
func (s *speech) usual() (best int) {
	for l, n := range s.total {
		if min(n, mostTotal) > min(s.total[best], mostTotal) {
			best = l
		}
	}
	return best
}

// language is that of most words in the blocks around one, and of the text among
// equals.
func (s *speech) language(near *ballot, usual int) uint64 {
	best, top := usual, 0
	for k, eight := range near {
		for eight != 0 {
			lane := bits.TrailingZeros64(eight) / 8
			votes := eight >> (8 * lane) & 0xFF
			eight &^= 0xFF << (8 * lane)
			if n := int(votes)<<16 + min(s.total[8*k+lane], mostTotal); n > top {
				best, top = 8*k+lane, n
			}
		}
	}
	return 1 << best
}

// choose takes the longest form that the language has.
func (s *speech) choose(w *words, i int, language uint64) {
	from := int32(0)
	if i > 0 {
		from = s.ends[i-1]
	}
	var best candidate
	for _, c := range s.list[from:s.ends[i]] {
		if c.languages&language != 0 && c.length > best.length {
			best = c
		}
	}
	if best.length == 0 || w.list[i].covered {
		return
	}
	w.list[i].concept = best.concept + 1
	for j := i + 1; j < min(i+int(best.words), len(w.list)); j++ {
		w.list[j].covered = true
	}
}
