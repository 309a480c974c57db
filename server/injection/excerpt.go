package injection

import (
	"crypto/sha256"
	"unicode/utf8"
)

// Bounds of what is shown of a message.
const (
	maxExcerpt  = 4 << 10 // bytes of one place
	maxAround   = 80      // characters on each side of it
	maxExtracts = 200     // texts of a message
)

// An Excerpt is the text of a place, and what stands around it in the same text.
type Excerpt struct{ Before, Text, After string }

// Excerpts finds the texts of places of a message by their digests, for a person who
// may see them. A place that is not found any more, because the texts of a message
// are cut in another way since, is left out.
func Excerpts(in Input, places [][32]byte) map[[32]byte]Excerpt {
	wanted, found := map[[32]byte]bool{}, map[[32]byte]Excerpt{}
	for _, p := range places {
		wanted[p] = true
	}
	Passages(in, func(p *Passage) {
		for at := range p.Windows() {
			from, to := p.places[at].start, p.places[min(at+WindowBlocks, len(p.Blocks))-1].end
			text := p.segment.text[from:to]
			if sum := sha256.Sum256(text); wanted[sum] && found[sum].Text == "" {
				found[sum] = Excerpt{before(p.segment.text[:from]), string(text[:min(len(text), maxExcerpt)]), after(p.segment.text[to:])}
			}
		}
	})
	return found
}

// before is the end of a text, and after its beginning: as many characters as are shown
// around a place.
func before(text []byte) string {
	at := len(text)
	for range maxAround {
		_, n := utf8.DecodeLastRune(text[:at])
		at -= n
	}
	return string(text[at:])
}

func after(text []byte) string {
	at := 0
	for range maxAround {
		_, n := utf8.DecodeRune(text[at:])
		at += n
	}
	return string(text[:at])
}

// An Extract is a text of a message as a machine is given it.
type Extract struct {
	View   View
	Part   string // IMAP section number; empty: the header
	Text   string
	Unseen bool // a person who reads the message does not see it
}

// Extracts are the texts of a message, in their order, for a person who may see them;
// what encoded runs in them say is not among them. At most limit bytes are given, and
// whether that was all.
func Extracts(in Input, limit int) (all []Extract, complete bool) {
	complete = true
	emit := func(s segment) {
		if s.view == Header || s.view == Name {
			return // told beside the message
		}
		if len(all) == maxExtracts || limit <= 0 {
			complete = false
			return
		}
		text := s.text
		if len(text) > limit {
			text, complete = text[:limit], false
		}
		limit -= len(text)
		all = append(all, Extract{View: s.view, Part: s.part, Text: string(text), Unseen: s.view.unseen() || s.view == Attribute})
	}
	newWalk(in.Body, emit, func(string, string) {}).message(in.Structure)
	return all, complete
}
