package injection

// Features are hashed: the model has a weight for each bucket and no text.
const (
	Buckets = 1 << 18
	bucket  = Buckets - 1
)

const hashStart uint32 = 2166136261

func hashByte(h uint32, c byte) uint32 { return (h ^ uint32(c)) * 16777619 }

func hashBytes(b []byte) uint32 {
	h := hashStart
	for _, c := range b {
		h = hashByte(h, c)
	}
	return h
}

// mix joins two hashes under a kind, so that features of different kinds fall into
// different buckets.
func mix(kind uint32, a, b uint32) uint32 {
	h := a*0x9E3779B1 ^ (b+kind*0x85EBCA77)*0xC2B2AE3D
	h ^= h >> 15
	h *= 0x2C1B3C6D
	return h ^ h>>13
}

// Kinds of features. Their numbers are part of the model.
const (
	kindWord uint32 = iota + 1
	kindHead        // the beginning of a word
	kindTail
	kindGram // five bytes inside a long word
	kindPair
	kindTriple
	kindQuad
	kindSkip  // two words with one between
	kindSkip2 // with two between
	kindStems // two beginnings of words
	kindStemSkip
	kindSlots // two slots within reach
	kindMask  // the slots of a window together
	kindView
	kindSignal
	kindMarkup
)

// features are those of a text: of word i are the buckets list[ends[i-1]:ends[i]].
type features struct {
	list     []uint32
	ends     []int32
	core     []uint32
	coreEnds []int32
}

// reach is how many words apart two slots may be to belong together.
const reach = 7

// extract finds the features of a text, each with the word that completes it.
func (f *features) extract(w *words) {
	f.list, f.ends, f.core, f.coreEnds = f.list[:0], f.ends[:0], f.core[:0], f.coreEnds[:0]
	var hash, stem [4]uint32 // of the last words, newest first
	for i := range w.list {
		form := w.at(i)
		copy(hash[1:], hash[:3])
		copy(stem[1:], stem[:3])
		hash[0] = hashBytes(form)
		stem[0] = hashBytes(form[:min(len(form), 5)])
		f.word(form, hash[0])
		f.neighbours(i, w.list[i].alone(w), &hash, &stem)
		f.slots(w, i)
		f.ends = append(f.ends, int32(len(f.list)))
		f.core = append(f.core, hash[0]*0x9E3779B1>>17, stem[0]*0x85EBCA77>>17)
		if i > 0 {
			f.core = append(f.core, mix(77, stem[1], stem[0])>>17)
		}
		for b := range numSlots {
			if w.list[i].slots&(1<<b) != 0 {
				f.core = append(f.core, uint32(b))
			}
		}
		f.coreEnds = append(f.coreEnds, int32(len(f.core)))
	}
}

func (f *features) add(kind, a, b uint32) { f.list = append(f.list, mix(kind, a, b)&bucket) }

// word adds what a word shows by itself. Beginnings and ends stand for its forms in
// languages that inflect.
func (f *features) word(form []byte, h uint32) {
	f.add(kindWord, h, 0)
	if len(form) >= 6 {
		f.add(kindHead, hashBytes(form[:4]), 4)
		f.add(kindTail, hashBytes(form[len(form)-4:]), 0)
	}
	if len(form) >= 8 {
		f.add(kindHead, hashBytes(form[:6]), 6)
	}
	if len(form) >= 10 {
		for i := 1; i+5 < len(form); i += 2 {
			f.add(kindGram, hashBytes(form[i:i+5]), 0)
		}
	}
}

// neighbours adds what a word shows with those before it.
func (f *features) neighbours(i int, alone bool, hash, stem *[4]uint32) {
	if i >= 1 {
		f.add(kindPair, hash[1], hash[0])
		f.add(kindStems, stem[1], stem[0])
	}
	if i >= 2 {
		f.add(kindTriple, mix(kindTriple, hash[2], hash[1]), hash[0])
		f.add(kindSkip, hash[2], hash[0])
		f.add(kindStemSkip, stem[2], stem[0])
	}
	if i >= 3 {
		f.add(kindSkip2, stem[3], stem[0])
		if alone {
			f.add(kindQuad, mix(kindQuad, hash[3], hash[2]), mix(kindQuad, hash[1], hash[0]))
		}
	}
}

// slots adds pairs of slots within reach, by order and distance.
func (f *features) slots(w *words, i int) {
	own := w.list[i].slots
	if own == 0 {
		return
	}
	var seen [numSlots]slots // pairs that were added, by own slot
	for d := 1; d <= reach && d <= i; d++ {
		other := w.list[i-d].slots
		if other == 0 {
			continue
		}
		near := uint32(0)
		if d > 3 {
			near = 1
		}
		for b := range numSlots {
			if own&(1<<b) == 0 || other&^seen[b] == 0 {
				continue
			}
			for o := range numSlots {
				if (other&^seen[b])&(1<<o) != 0 {
					f.add(kindSlots, uint32(b)<<8|uint32(o), near)
				}
			}
			seen[b] |= other
		}
	}
}
