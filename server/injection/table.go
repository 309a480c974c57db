package injection

// table maps hashes of words to small sets. Nearly all look-ups find nothing, and
// there are several for each word of a message, so it is kept three quarters empty:
// one place tells.
type table struct {
	mask   uint32
	places []struct {
		hash uint32
		set  slots // zero: the place is empty
	}
}

// newTable holds what a map does, which has no empty sets.
func newTable(m map[uint32]slots) table {
	size := 16
	for size < 4*len(m) {
		size *= 2
	}
	t := table{mask: uint32(size - 1), places: make([]struct {
		hash uint32
		set  slots
	}, size)}
	for hash, set := range m {
		at := hash & t.mask
		for t.places[at].set != 0 {
			at = (at + 1) & t.mask
		}
		t.places[at].hash, t.places[at].set = hash, set
	}
	return t
}

// of is the set of a hash.
func (t *table) of(hash uint32) slots {
	for at := hash & t.mask; ; at = (at + 1) & t.mask {
		p := &t.places[at]
		if p.set == 0 || p.hash == hash {
			return p.set
		}
	}
}

// filter is a set of hashes that may also claim to hold one which was not put in.
// Nearly every look-up of a word finds nothing, and learns it here: a filter stays in
// the processor's nearest memory, where a table does not.
type filter [1 << 12]uint64

// bits of a hash, which are in one number.
func (f *filter) bits(hash uint32) (at uint32, bits uint64) {
	hash *= 0x9E3779B1
	return hash >> 20, 1<<(hash>>14&63) | 1<<(hash>>8&63)
}

func (f *filter) add(hash uint32) {
	at, bits := f.bits(hash)
	f[at] |= bits
}

func (f *filter) has(hash uint32) bool {
	at, bits := f.bits(hash)
	return f[at]&bits == bits
}
