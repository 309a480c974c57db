package injection

// Traits are what was found in some words, as places in a [Part] of the model: features are
// hashed, and the model has no text.
type Traits struct {
	Weights []uint32 // places among its weights
	Rows    []uint32 // rows of its hidden layer
}

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
	kindConcept
	kindClass
	kindConceptPair
	kindClassPair
	kindClassConcept
	kindConceptClass
	kindClassTriple
)

// features are those of a text, by its words and by what they name.
type features struct {
	words, frame traits
	said         [said]concept // the last concepts, newest first
}

// traits collect what is found, and where each word's share ends.
type traits struct {
	weights, rows       []uint32
	weightEnds, rowEnds []int32
}

func (f *traits) reset() {
	f.weights, f.rows, f.weightEnds, f.rowEnds = f.weights[:0], f.rows[:0], f.weightEnds[:0], f.rowEnds[:0]
}

func (f *traits) add(kind, a, b uint32) { f.weights = append(f.weights, weightAt(kind, a, b)) }
func (f *traits) row(kind, a, b uint32) { f.rows = append(f.rows, mix(kind, a, b)>>(32-RowBits)) }

func weightAt(kind, a, b uint32) uint32 { return mix(kind, a, b) >> (32 - WeightBits) }

func (f *traits) endWord() {
	f.weightEnds, f.rowEnds = append(f.weightEnds, int32(len(f.weights))), append(f.rowEnds, int32(len(f.rows)))
}

// of is what was found in the words from i to j.
func (f *traits) of(i, j int) Traits {
	weight, row := int32(0), int32(0)
	if i > 0 {
		weight, row = f.weightEnds[i-1], f.rowEnds[i-1]
	}
	return Traits{f.weights[weight:f.weightEnds[j-1]], f.rows[row:f.rowEnds[j-1]]}
}

// block is what was found in the words from i to j.
func (f *features) block(i, j int) Block {
	return Block{Words: f.words.of(i, j), Frame: f.frame.of(i, j)}
}

// concept is one that a word of the text names.
type concept struct {
	id, class uint32
	at        int // index of the word
}

const (
	reach  = 7  // how many words apart two slots may be to belong together
	within = 10 // how many words apart two concepts may be
	said   = 4  // and how many concepts
)

// extract finds the features of a text, each with the word that completes it.
func (f *features) extract(w *words, classes []uint8) {
	f.words.reset()
	f.frame.reset()
	for i := range f.said {
		f.said[i] = concept{at: -within - 1}
	}
	var hash, stem [4]uint32 // of the last words, newest first
	for i := range w.list {
		form := w.at(i)
		copy(hash[1:], hash[:3])
		copy(stem[1:], stem[:3])
		hash[0] = w.list[i].hash
		stem[0] = hashBytes(form[:min(len(form), 5)])
		f.word(form, hash[0])
		f.neighbours(i, w.list[i].alone(w), &hash, &stem)
		f.rows(i, &hash, &stem)
		f.slots(w, i)
		if c := w.list[i].concept; c > 0 {
			f.concept(concept{uint32(c), uint32(classes[c-1]), i})
		}
		f.words.endWord()
		f.frame.endWord()
	}
}

// word adds what a word shows by itself. Beginnings and ends stand for its forms in
// languages that inflect.
func (f *features) word(form []byte, h uint32) {
	f.words.add(kindWord, h, 0)
	if without&aspectParts != 0 {
		return
	}
	if len(form) >= 6 {
		f.words.add(kindHead, hashBytes(form[:4]), 4)
		f.words.add(kindTail, hashBytes(form[len(form)-4:]), 0)
	}
	if len(form) >= 8 {
		f.words.add(kindHead, hashBytes(form[:6]), 6)
	}
	if len(form) >= 10 {
		for i := 1; i+5 < len(form); i += 2 {
			f.words.add(kindGram, hashBytes(form[i:i+5]), 0)
		}
	}
}

// neighbours adds what a word shows with those before it.
func (f *features) neighbours(i int, alone bool, hash, stem *[4]uint32) {
	if without&aspectSequences != 0 {
		return
	}
	if i >= 1 {
		f.words.add(kindPair, hash[1], hash[0])
		f.words.add(kindStems, stem[1], stem[0])
	}
	if i >= 2 {
		f.words.add(kindTriple, mix(kindTriple, hash[2], hash[1]), hash[0])
		f.words.add(kindSkip, hash[2], hash[0])
		f.words.add(kindStemSkip, stem[2], stem[0])
	}
	if i >= 3 {
		f.words.add(kindSkip2, stem[3], stem[0])
		if alone {
			f.words.add(kindQuad, mix(kindQuad, hash[3], hash[2]), mix(kindQuad, hash[1], hash[0]))
		}
	}
}

// rows adds what the hidden layer is shown of a word: its form, its beginning, and
// that with the one before it.
func (f *features) rows(i int, hash, stem *[4]uint32) {
	f.words.row(kindWord, hash[0], 0)
	f.words.row(kindHead, stem[0], 0)
	if i > 0 {
		f.words.row(kindStems, stem[1], stem[0])
	}
}

// slots adds pairs of slots within reach, by order and distance.
func (f *features) slots(w *words, i int) {
	own := w.list[i].slots
	if own == 0 || without&aspectSlots != 0 {
		return
	}
	var seen [numSlots]slots // pairs that were added, by own slot
	for b := range numSlots {
		if own&(1<<b) != 0 {
			f.frame.row(kindSlots, uint32(b), 0)
		}
	}
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
					f.frame.add(kindSlots, uint32(b)<<8|uint32(o), near)
				}
			}
			seen[b] |= other
		}
	}
}

// concept adds what a word names, and that with what was named shortly before, in
// this order: by the concepts, by the classes that they are of, and by one of each.
func (f *features) concept(c concept) {
	f.frame.add(kindConcept, c.id, 0)
	f.frame.row(kindConcept, c.id, 0)
	if without&aspectClasses == 0 {
		f.frame.row(kindClass, c.class, 0)
	}
	for i, b := range f.said {
		if c.at-b.at > within {
			break
		}
		if without&aspectPairs == 0 {
			f.pair(b, c, i)
		}
		if without&aspectClasses == 0 {
			f.classPair(b, c, i)
		}
	}
	copy(f.said[1:], f.said[:said-1])
	f.said[0] = c
}

// pair adds a concept with one that was named before it, i concepts between.
func (f *features) pair(b, c concept, i int) {
	f.frame.add(kindConceptPair, b.id, c.id)
	if i == 0 {
		f.frame.row(kindConceptPair, b.id, c.id)
	}
}

// classPair adds the classes of two concepts, and the class of one with the other.
func (f *features) classPair(b, c concept, i int) {
	f.frame.add(kindClassPair, b.class<<8|c.class, uint32(min(i, 1)))
	f.frame.add(kindClassConcept, b.class, c.id)
	f.frame.add(kindConceptClass, b.id, c.class)
	switch i {
	case 0:
		f.frame.row(kindClassPair, b.class, c.class)
	case 1:
		f.frame.add(kindClassTriple, b.class<<16|f.said[0].class<<8|c.class, 0)
	}
}

// wholeFeatures are the view of a text and what its form shows, each count in steps.
func wholeFeatures(v View, w *words) []uint32 {
	list := []uint32{weightAt(kindView, uint32(v), 0)}
	for i, n := range []int{w.signals.zeroWidth, w.signals.bidi, w.signals.mixed, w.signals.styled, w.signals.leet, w.signals.spaced, len(w.tags), len(w.selectors)} {
		for step, bound := range []int{0, 3, 20} {
			if n > bound {
				list = append(list, weightAt(kindSignal, uint32(i), uint32(step)))
			}
		}
	}
	return list
}

// maskFeature is that of all slots of a window together.
func maskFeature(s uint16) uint32 { return weightAt(kindMask, uint32(s), 0) }
