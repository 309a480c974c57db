package injection

// Traits are what was found in some words, as places in a [Part] of the model: features are
// hashed, and the model has no text.
type Traits struct {
	Weights Places // among its weights
	Rows    Places // rows of its hidden layer
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
	kindFirst // the first word of a sentence
	kindOpener
	kindOpenerClass
	kindClassOpener
	kindSentence
	kindSentenceEnd
	kindSentenceLast
)

// features are those of a text, by its words and by what they name.
type features struct {
	words, frame traits
	repeats      repeats
	said         [said]concept // the last concepts, newest first
	sentence     sentence
}

// traits collect what is found, block by block.
type traits struct{ weights, rows places }

func (f *traits) reset() {
	f.weights.reset()
	f.rows.reset()
}

func (f *traits) add(kind, a, b uint32) { f.weights.add(weightAt(kind, a, b)) }
func (f *traits) row(kind, a, b uint32) { f.rows.add(mix(kind, a, b) >> (32 - RowBits)) }

// addSince and rowSince add what was shown so many blocks ago.
func (f *traits) addSince(kind, a, b, ago uint32) { f.weights.addSince(weightAt(kind, a, b), ago) }
func (f *traits) rowSince(kind, a, b, ago uint32) {
	f.rows.addSince(mix(kind, a, b)>>(32-RowBits), ago)
}

func weightAt(kind, a, b uint32) uint32 { return mix(kind, a, b) >> (32 - WeightBits) }

func (f *traits) endBlock() {
	f.weights.endBlock()
	f.rows.endBlock()
}

func (f *traits) block(i int) Traits { return Traits{f.weights.block(i), f.rows.block(i)} }

// block is what was found in block i.
func (f *features) block(i int) Block {
	return Block{Words: f.words.block(i), Frame: f.frame.block(i)}
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
	f.repeats.reset()
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
		ago := f.repeats.next(hash[0])
		f.word(form, hash[0], ago.word)
		f.neighbours(i, w.list[i].alone(w), &hash, &stem, &ago)
		f.rows(i, &hash, &stem, &ago)
		f.slots(w, i)
		sentences := without&aspectSentences == 0
		if sentences && w.list[i].opens {
			f.openSentence(i, stem[0])
		}
		if c := w.list[i].concept; c > 0 {
			named := concept{uint32(c), uint32(classes[c-1]), i}
			f.concept(named)
			if sentences {
				f.inSentence(named)
			}
		}
		if sentences && (w.list[i].stop != noStop || i == len(w.list)-1) {
			f.closeSentence(i, w.list[i].stop)
		}
		if i%BlockWords == BlockWords-1 || i == len(w.list)-1 {
			f.words.endBlock()
			f.frame.endBlock()
		}
	}
}

// word adds what a word shows by itself. Beginnings and ends stand for its forms in
// languages that inflect.
func (f *features) word(form []byte, h, ago uint32) {
	f.words.addSince(kindWord, h, 0, ago)
	if without&aspectParts != 0 {
		return
	}
	if len(form) >= 6 {
		f.words.addSince(kindHead, hashBytes(form[:4]), 4, ago)
		f.words.addSince(kindTail, hashBytes(form[len(form)-4:]), 0, ago)
	}
	if len(form) >= 8 {
		f.words.addSince(kindHead, hashBytes(form[:6]), 6, ago)
	}
	if len(form) >= 10 {
		for i := 1; i+5 < len(form); i += 2 {
			f.words.addSince(kindGram, hashBytes(form[i:i+5]), 0, ago)
		}
	}
}

// neighbours adds what a word shows with those before it.
func (f *features) neighbours(i int, alone bool, hash, stem *[4]uint32, ago *ago) {
	if without&aspectSequences != 0 {
		return
	}
	if i >= 1 {
		f.words.addSince(kindPair, hash[1], hash[0], ago.pair)
		f.words.addSince(kindStems, stem[1], stem[0], ago.pair)
	}
	if i >= 2 {
		f.words.addSince(kindTriple, mix(kindTriple, hash[2], hash[1]), hash[0], ago.triple)
		f.words.addSince(kindSkip, hash[2], hash[0], ago.skip)
		f.words.addSince(kindStemSkip, stem[2], stem[0], ago.skip)
	}
	if i >= 3 {
		f.words.addSince(kindSkip2, stem[3], stem[0], ago.skip2)
		if alone {
			f.words.addSince(kindQuad, mix(kindQuad, hash[3], hash[2]), mix(kindQuad, hash[1], hash[0]), ago.quad)
		}
	}
}

// rows adds what the hidden layer is shown of a word: its form, its beginning, and
// that with the one before it.
func (f *features) rows(i int, hash, stem *[4]uint32, ago *ago) {
	f.words.rowSince(kindWord, hash[0], 0, ago.word)
	f.words.rowSince(kindHead, stem[0], 0, ago.word)
	if i > 0 {
		f.words.rowSince(kindStems, stem[1], stem[0], ago.pair)
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
