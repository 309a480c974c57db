package submission

import (
	"io"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"postern/server/message"
)

// Text is compared by its words: letter case, punctuation, line ends and marks of
// a quotation count for nothing. Each run of eight words is hashed, and of each
// four neighbouring hashes the least is kept (winnowing: Schleimer, Wilkerson and
// Aiken, 2003), so that eleven words in a row which two texts share are found
// wherever they stand. The hashes of the messages that were read last are
// remembered; the text never is. The same texts always have the same share.
const (
	shingle     = 8         // words that are hashed together
	window      = 4         // hashes of which one is kept
	maxText     = 128 << 10 // bytes of text that are looked at in a message
	maxTextPart = 32        // parts of a message that are looked at
	maxPrints   = 1 << 18   // hashes that are remembered: 2 MiB
	leastPrints = 4         // a text with fewer is too short to say anything of
)

// prints are the hashes of a text, ascending.
type prints []uint64

// shared is how many hashes two texts have in common.
func (p prints) shared(o prints) (n int) {
	for i, j := 0, 0; i < len(p) && j < len(o); {
		switch {
		case p[i] < o[j]:
			i++
		case p[i] > o[j]:
			j++
		default:
			n, i, j = n+1, i+1, j+1
		}
	}
	return n
}

// percent is how much of p it has in common with another text, 0 to 100.
func (p prints) percent(shared int) int {
	if len(p) < leastPrints {
		return 0
	}
	return 100 * shared / len(p)
}

// printsOf hashes the text of a message, all that a reader may be shown: HTML
// without its tags. Whole is false when there is more than is looked at.
func printsOf(view io.ReaderAt, root *message.Part) (p prints, whole bool) {
	w := winnower{room: maxText}
	whole = true
	parts := maxTextPart
	var walk func(p *message.Part)
	walk = func(p *message.Part) {
		for i := range p.Children {
			walk(&p.Children[i])
		}
		if p.Message != nil {
			walk(&p.Message.Root)
		}
		if p.Type != "text" || p.IsMultipart() {
			return
		}
		if parts == 0 || w.room <= 0 {
			whole = false
			return
		}
		parts--
		w.read(message.TextReader(view, p), p.Subtype == "html")
	}
	walk(root)
	return w.finish(), whole && w.room > 0
}

// winnower makes hashes of text as it comes.
type winnower struct {
	room int
	kept prints

	word   uint64 // hash of the word being read; 0 for none
	words  [shingle]uint64
	n      int // words so far
	recent [window]uint64
	hashes int // shingles so far
	last   uint64
}

// read takes the words of one part.
func (w *winnower) read(r io.Reader, html bool) {
	var buf [4 << 10]byte
	inTag, have := false, 0
	for w.room > 0 {
		n, err := r.Read(buf[have:])
		w.room -= n
		b := buf[:have+n]
		for len(b) > 0 && (utf8.FullRune(b) || err != nil) {
			c, size := rune(b[0]), 1
			if c >= utf8.RuneSelf {
				c, size = utf8.DecodeRune(b)
			}
			b = b[size:]
			switch {
			case html && c == '<':
				inTag = true
				w.end()
			case html && inTag:
				inTag = c != '>'
			default:
				w.take(c)
			}
		}
		have = copy(buf[:], b)
		if err != nil {
			break
		}
	}
	w.end()
	// Words of two parts do not stand side by side.
	w.n, w.hashes = 0, 0
}

// FNV-1a, 64 bits.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func (w *winnower) take(c rune) {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
	case 'A' <= c && c <= 'Z':
		c += 'a' - 'A'
	case c < utf8.RuneSelf || !unicode.IsLetter(c) && !unicode.IsDigit(c):
		w.end()
		return
	default:
		c = unicode.ToLower(c)
	}
	if w.word == 0 {
		w.word = fnvOffset
	}
	w.word = (w.word ^ uint64(c)) * fnvPrime
}

// end takes the word that was read.
func (w *winnower) end() {
	if w.word == 0 {
		return
	}
	w.words[w.n%shingle] = w.word
	w.word = 0
	if w.n++; w.n < shingle {
		return
	}
	h := uint64(fnvOffset)
	for i := range shingle {
		h = (h ^ w.words[(w.n+i)%shingle]) * fnvPrime
		h ^= h >> 29
	}
	w.recent[w.hashes%window] = h
	if w.hashes++; w.hashes < window {
		return
	}
	if least := slices.Min(w.recent[:]); least != w.last {
		w.last = least
		w.kept = append(w.kept, least)
	}
}

// finish returns the hashes, each once.
func (w *winnower) finish() prints {
	slices.Sort(w.kept)
	return slices.Clip(slices.Compact(w.kept))
}

// place is where a message stands. What it shows never changes (invariant 13).
type place struct {
	mailbox uuid.UUID
	uid     uint32
}

// read is what is known of the content of a message that was read.
type read struct {
	id      uuid.UUID // of the message
	prints  prints
	parties []string // canonical addresses in its header
	own     bool     // the inbox itself wrote it
}

// readings remembers messages that agents read, those that were asked for last.
type readings struct {
	mu    sync.Mutex
	known map[place]*read
	order []place // the one that was asked for last at the end
	size  int     // hashes
}

func (r *readings) get(p place) *read {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := r.known[p]
	if found != nil {
		if i := slices.Index(r.order, p); i < len(r.order)-1 {
			r.order = append(slices.Delete(r.order, i, i+1), p)
		}
	}
	return found
}

// readCost is what a message counts for beside its hashes.
const readCost = 64

func (r *readings) put(p place, m *read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[p] != nil {
		return
	}
	if r.known == nil {
		r.known = map[place]*read{}
	}
	r.known[p] = m
	r.order = append(r.order, p)
	r.size += len(m.prints) + readCost
	for r.size > maxPrints && len(r.order) > 1 {
		old := r.order[0]
		r.size -= len(r.known[old].prints) + readCost
		delete(r.known, old)
		r.order = slices.Delete(r.order, 0, 1)
	}
}
