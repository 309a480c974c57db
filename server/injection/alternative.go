package injection

// Alternatives of a body (RFC 2046, section 5.1.4) should say the same: a person's
// mail program shows the last, and programs often read the first. What stands in one
// of them and not in the other is not alarming by itself, since mail that is sent to
// many has texts of a line beside pages. It is when it is a request to a machine.

// wordBits is a set of words, by bits of their hashes. It may hold a word that was
// not put in, so a text that is very long seems to say everything.
type wordBits struct {
	bits  [1 << 11]uint64
	words int
}

func (b *wordBits) index(h uint32) (int, uint64) {
	h *= 0x9E3779B1
	return int(h >> 21), 1 << (h >> 15 & 63)
}

func (b *wordBits) add(h uint32) {
	i, bit := b.index(h)
	b.bits[i] |= bit
	b.words++
}

func (b *wordBits) has(h uint32) bool {
	i, bit := b.index(h)
	return b.bits[i]&bit != 0
}

// alternatives is what is known of the alternatives of one body while they are read.
type alternatives struct {
	sides   [2]wordBits // plain text, and everything else
	telling []telling
}

// telling is a place in one of them that the model finds telling.
type telling struct {
	evidence Evidence
	side     int
	words    []uint32
}

const (
	maxTelling   = 8  // places that are compared
	minOther     = 12 // words of the other side: fewer say "open this in a browser"
	longWord     = 4  // bytes: shorter words are in every text
	mostlyShared = 2  // a place is in the other side when one in so many of its words is
	ownRun       = 8  // and no run of so many words is its own
)

// side is which of two alternatives a segment is in.
func (s *segment) side() int {
	if s.view == HTML {
		return 1
	}
	return 0
}

// open begins the alternatives of a body.
func (a *alternatives) open() { *a = alternatives{telling: a.telling[:0]} }

// read remembers the words of a piece of an alternative.
func (a *alternatives) read(s *segment, w *words) {
	if !s.alternative {
		return
	}
	for i := range w.list {
		if form := w.at(i); len(form) >= longWord || w.list[i].alone(w) {
			a.sides[s.side()].add(w.list[i].hash)
		}
	}
}

// tell remembers a place that begins at a block, to compare it at the end.
func (a *alternatives) tell(p *Passage, at int, e Evidence, w *words) {
	if !p.segment.alternative || len(a.telling) == maxTelling {
		return
	}
	t := telling{evidence: e, side: p.segment.side()}
	for i := at * BlockWords; i < min((at+WindowBlocks)*BlockWords, len(w.list)); i++ {
		if form := w.at(i); len(form) >= longWord || w.list[i].alone(w) {
			t.words = append(t.words, w.list[i].hash)
		}
	}
	a.telling = append(a.telling, t)
}

// differing are the telling places that only one alternative has.
func (a *alternatives) differing() (list []Evidence) {
	for _, t := range a.telling {
		other := &a.sides[1-t.side]
		shared, run, longest := 0, 0, 0
		for _, h := range t.words {
			if other.has(h) {
				shared++
				run = 0
				continue
			}
			run++
			longest = max(longest, run)
		}
		if other.words >= minOther && len(t.words) > 0 && (shared*mostlyShared < len(t.words) || longest >= ownRun) {
			list = append(list, t.evidence)
		}
	}
	return list
}
