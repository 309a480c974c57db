package injection

import "slices"

// Places are places in a part of the model that a block shows. A window counts each of
// them once, however often its blocks show it: a list, a table and a log repeat words
// that say no more the tenth time.
type Places struct {
	list []uint32
	ends [WindowBlocks]int32 // list[:ends[j]] are not in the j blocks before
}

// At are the places that count where the block is number j of a window, from zero.
func (p *Places) At(j int) []uint32 { return p.list[:p.ends[j]] }

// shown are the places that the d-th block before shows as well, and none between.
func (p *Places) shown(d int) []uint32 { return p.list[p.ends[d]:p.ends[d-1]] }

// Clone is a copy of its own.
func (p *Places) Clone() Places { return Places{slices.Clone(p.list), p.ends} }

// places collect those of the blocks of a text.
type places struct {
	list   []uint32
	blocks []Places // each with its share of the list as ends alone, until the text is read
	starts []int32
	again  [WindowBlocks][]uint32 // of the block that is open: what was shown before, by how many blocks ago
	recent recent
}

func (p *places) reset() {
	p.list, p.blocks, p.starts = p.list[:0], p.blocks[:0], append(p.starts[:0], 0)
	p.recent.begin()
}

// add adds a place, if the block does not show it yet.
func (p *places) add(place uint32) { p.addSince(place, p.recent.since(place)) }

// addSince adds a place that was shown so many blocks ago.
func (p *places) addSince(place, ago uint32) {
	switch {
	case ago >= WindowBlocks || without&aspectRepeats != 0:
		p.list = append(p.list, place)
	case ago > 0:
		p.again[ago] = append(p.again[ago], place)
	}
}

// endBlock adds to the block what was shown before, the longest ago first.
func (p *places) endBlock() {
	var b Places
	start := p.starts[len(p.starts)-1]
	for ago := WindowBlocks - 1; ago >= 0; ago-- {
		b.ends[ago] = int32(len(p.list)) - start
		p.list = append(p.list, p.again[ago]...) // none of the block itself
		p.again[ago] = p.again[ago][:0]
	}
	p.blocks, p.starts = append(p.blocks, b), append(p.starts, int32(len(p.list)))
	p.recent.block++
}

// block is what block i shows, valid until the next text.
func (p *places) block(i int) Places {
	b := p.blocks[i]
	b.list = p.list[p.starts[i]:p.starts[i+1]]
	return b
}

// recent knows in which block a place was shown last, as far as no two others took its
// room since. Blocks are numbered through all texts, so that what an older text left
// counts for nothing.
type recent struct {
	block uint32
	rooms [1 << roomBits][2]uint32 // place and block, newest first
}

const (
	roomBits  = 10
	blockBits = 32 - WeightBits
)

// begin leaves the blocks of the text before out of reach.
func (r *recent) begin() {
	const most = 2 * maxPiece / BlockWords // blocks of a text: it has fewer words than bytes
	if r.block += WindowBlocks; r.block >= 1<<blockBits-most {
		*r = recent{block: WindowBlocks}
	}
}

// since tells how many blocks ago a place was shown, WindowBlocks if not within a
// window, and notes that it is shown now.
func (r *recent) since(place uint32) uint32 {
	room := &r.rooms[place&(1<<roomBits-1)]
	old, now := room[0], place<<blockBits|r.block
	if old == now {
		return 0
	}
	room[0] = now
	if old>>blockBits != place {
		if old, room[1] = room[1], old; old>>blockBits != place {
			return WindowBlocks
		}
	}
	return min(now-old, WindowBlocks)
}

// repeats tells where a text had a word before, and the words before it with it. That
// costs less than to ask [recent] for all that a word shows.
type repeats struct {
	hashes []uint32              // of the words of the text
	before []int32               // where the text had each of them before; below zero: nowhere
	begin  uint32                // number of its first word, counted through all texts
	last   [1 << lastBits]uint32 // number of the last word of a hash, from 1
}

const (
	lastBits = 10
	looks    = 4 // times that a word is looked back for
)

func (r *repeats) reset() {
	if r.begin += uint32(len(r.hashes)); r.begin > 1<<31 {
		*r = repeats{hashes: r.hashes, before: r.before}
	}
	r.hashes, r.before = r.hashes[:0], r.before[:0]
}

// ago is how many blocks ago what a word shows was shown, by which of the words before
// it it shows as well: none, the first, the second, the third, the first two, all three.
type ago struct{ word, pair, skip, skip2, triple, quad uint32 }

// next notes the next word.
func (r *repeats) next(hash uint32) ago {
	const far = WindowBlocks
	a := ago{far, far, far, far, far, far}
	i := len(r.hashes)
	r.hashes = append(r.hashes, hash)
	slot := &r.last[hash*0x9E3779B1>>(32-lastBits)]
	at := int(*slot) - 1 - int(r.begin)
	*slot = r.begin + uint32(i) + 1
	if at < 0 || r.hashes[at] != hash {
		r.before = append(r.before, -1)
		return a
	}
	r.before = append(r.before, int32(at))
	for range looks {
		d := uint32(i/BlockWords - at/BlockWords)
		if d >= far {
			break
		}
		r.compare(i, at, d, &a)
		if at = int(r.before[at]); at < 0 {
			break
		}
	}
	return a
}

// compare notes what word i shows that the same word showed at another place, d blocks
// before.
func (r *repeats) compare(i, at int, d uint32, a *ago) {
	first := at >= 1 && r.hashes[at-1] == r.hashes[i-1]
	second := at >= 2 && r.hashes[at-2] == r.hashes[i-2]
	third := at >= 3 && r.hashes[at-3] == r.hashes[i-3]
	a.word = min(a.word, d)
	if first {
		a.pair = min(a.pair, d)
	}
	if second {
		a.skip = min(a.skip, d)
	}
	if third {
		a.skip2 = min(a.skip2, d)
	}
	if first && second {
		a.triple = min(a.triple, d)
	}
	if first && second && third {
		a.quad = min(a.quad, d)
	}
}
