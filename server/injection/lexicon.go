package injection

import (
	_ "embed"
	"strings"
	"sync"
)

// slots are the places of a request that a word may fill. A request to a machine is
// a frame inside a few sentences: who is addressed, which act, on what, how it hides,
// by what right, under what condition. Words differ between languages, and the frame
// does not, so what is learned of frames in one language serves in others.
type slots uint16

const (
	slotMachine   slots = 1 << iota // who is addressed: assistant, bot, whatever handles this mailbox
	slotAct                         // forward, delete, approve
	slotObject                      // messages, codes, payments
	slotConceal                     // quietly, without mention
	slotRight                       // policy, administrator, agreed
	slotCondition                   // next time, whenever, before
	slotOverride                    // ignore, previous, instructions
	slotNegation                    // not, without
	slotOwner                       // user, owner, human
	slotAddress                     // a mail address or a link, found by form
	numSlots      = 10
)

// slotNames are the names in the lexicon, in the order of the bits.
var slotNames = []string{"machine", "act", "object", "conceal", "right", "condition", "override", "negation", "owner", "address"}

// lexiconText has a line for each slot and language: "act en forward* send attach*".
// A star stands for any ending. Words are normalised as those of a message are.
//
//go:embed lexicon.txt
var lexiconText string

// lexicon maps the hash of a word, or of the beginning of one, to its slots.
type lexicon struct {
	whole, prefix table
	known         filter // the hashes of both
	// lengths of prefixes, in bytes, that occur
	lengths [maxPrefix + 1]bool
	longest int
	// begins filters hashes of what words of scripts without spaces begin with
	begins [1 << 12]uint64
}

func (l *lexicon) beginsWith(h uint32) bool { return l.begins[h>>6&(1<<12-1)]&(1<<(h&63)) != 0 }

// maxPrefix is the longest beginning of a word that the lexicon may have, in bytes.
const maxPrefix = 24

// words4slots is read when the first text is, and not when the program starts.
var words4slots = sync.OnceValue(func() *lexicon { return readLexicon(lexiconText) })

func readLexicon(text string) *lexicon {
	l := &lexicon{}
	whole, prefix := map[uint32]slots{}, map[uint32]slots{}
	var w words
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		bit := slotBit(fields[0])
		for _, f := range fields[2:] {
			stem, starred := strings.CutSuffix(f, "*")
			w.read([]byte(stem))
			form := w.norm
			switch {
			case len(w.list) == 0:
			case len(w.list) > 1: // characters of a script without spaces
				whole[hashBytes(form)] |= bit
				l.longest = max(l.longest, len(w.list))
				for i := range w.list {
					h := hashBytes(form[:w.list[i].to])
					l.begins[h>>6&(1<<12-1)] |= 1 << (h & 63)
				}
			case starred && len(form) <= maxPrefix:
				prefix[hashBytes(form)] |= bit
				l.lengths[len(form)] = true
			default:
				whole[hashBytes(form)] |= bit
			}
		}
	}
	l.whole, l.prefix = newTable(whole), newTable(prefix)
	for _, set := range []map[uint32]slots{whole, prefix} {
		for h := range set {
			l.known.add(h)
		}
	}
	return l
}

func slotBit(name string) slots {
	for i, n := range slotNames {
		if n == name {
			return 1 << i
		}
	}
	panic("injection: the lexicon has no slot " + name) // our own file, read at start
}

// mark finds the slots of every word, and its hash.
func (l *lexicon) mark(w *words) {
	for i := range w.list {
		form := w.at(i)
		s, h := slots(0), hashStart
		for n, c := range form {
			h = hashByte(h, c)
			if n < maxPrefix && l.lengths[n+1] && l.known.has(h) {
				s |= l.prefix.of(h)
			}
		}
		if l.known.has(h) {
			s |= l.whole.of(h)
		}
		w.list[i].slots |= s
		w.list[i].hash = h
		if w.list[i].alone(w) {
			l.markRun(w, i)
		}
	}
}

// markRun looks for words of a script without spaces that begin at word i.
func (l *lexicon) markRun(w *words, i int) {
	h := hashStart
	for j := i; j < len(w.list) && j < i+l.longest && w.list[j].alone(w); j++ {
		for _, c := range w.at(j) {
			h = hashByte(h, c)
		}
		if !l.beginsWith(h) {
			return
		}
		w.list[i].slots |= l.whole.of(h)
	}
}

// alone reports whether the word is one character of a script without spaces.
func (x word) alone(w *words) bool {
	return x.to-x.from >= 3 && x.to-x.from <= 4 && w.norm[x.from] >= 0xE0
}
