package storage

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// blockEvents is how many events one block of the log has. A block is what its
// columns are made of and looked through at once: few enough that one is made in
// some milliseconds, enough that a million events are a few hundred blocks.
const blockEvents = 4096

// blockOf is the block of a sequence number.
func blockOf(seq uint64) uint64 { return seq / blockEvents }

// bitmap marks events of a block.
type bitmap [blockEvents / 64]uint64

func (b *bitmap) set(i int) { b[i/64] |= 1 << (i % 64) }

// fill marks the events [from, to) of the block.
func (b *bitmap) fill(from, to int) {
	for i := from; i < to; {
		if i%64 == 0 && to-i >= 64 {
			b[i/64] = ^uint64(0)
			i += 64
			continue
		}
		b.set(i)
		i++
	}
}

func (b *bitmap) and(o *bitmap) {
	for i := range b {
		b[i] &= o[i]
	}
}

func (b *bitmap) or(o *bitmap) {
	for i := range b {
		b[i] |= o[i]
	}
}

func (b *bitmap) not() {
	for i := range b {
		b[i] = ^b[i]
	}
}

func (b *bitmap) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func (b *bitmap) empty() bool { return *b == bitmap{} }

// each calls fn with the marked events, upwards or downwards, until it returns false.
func (b *bitmap) each(downwards bool, fn func(i int) bool) {
	for n := range b {
		if downwards {
			n = len(b) - 1 - n
		}
		for w := b[n]; w != 0; {
			i := bits.TrailingZeros64(w)
			if downwards {
				i = 63 - bits.LeadingZeros64(w)
			}
			w &^= 1 << i
			if !fn(n*64 + i) {
				return
			}
		}
	}
}

// column says of each event of a block what it has of one kind: nothing, or a value
// of the dictionary. Values have one width.
type column struct {
	width  int
	values []byte // the dictionary, width bytes a value
	codes  []byte // of each event a code: zero for nothing, else the value's place and one
	wide   bool   // a code takes two bytes, little-endian
}

// len is how many values the dictionary has.
func (c *column) len() int {
	if c.width == 0 {
		return 0
	}
	return len(c.values) / c.width
}

// value is a value of the dictionary.
func (c *column) value(i int) []byte { return c.values[i*c.width : (i+1)*c.width] }

// code is what an event has: zero for nothing.
func (c *column) code(i int) int {
	switch {
	case len(c.codes) == 0:
		return 0
	case c.wide:
		return int(binary.LittleEndian.Uint16(c.codes[2*i:]))
	}
	return int(c.codes[i])
}

// matching marks the events that have one of the wanted values.
func (c *column) matching(wanted func(value []byte) bool) (found bitmap) {
	n := c.len()
	hit := make([]bool, n+1)
	any := false
	for i := range n {
		hit[i+1] = wanted(c.value(i))
		any = any || hit[i+1]
	}
	if !any {
		return found
	}
	if c.wide {
		for i := range blockEvents {
			if hit[binary.LittleEndian.Uint16(c.codes[2*i:])] {
				found.set(i)
			}
		}
		return found
	}
	for i, code := range c.codes {
		if hit[code] {
			found.set(i)
		}
	}
	return found
}

// counts adds to each value of the dictionary how many of the marked events have it;
// the first is of those that have nothing.
func (c *column) counts(marked *bitmap) []int {
	n := make([]int, c.len()+1)
	marked.each(false, func(i int) bool {
		n[c.code(i)]++
		return true
	})
	return n
}

// append writes a column: its width, how many values, the values, the codes.
func (c *column) append(b []byte) []byte {
	b = append(b, byte(c.width))
	b = binary.LittleEndian.AppendUint16(b, uint16(c.len()))
	b = append(b, c.values...)
	return append(b, c.codes...)
}

// parseColumn reads what append wrote.
func parseColumn(b []byte) (*column, error) {
	if len(b) < 3 || b[0] > 32 {
		return nil, fmt.Errorf("%w: a column of the log has no head", ErrCorrupt)
	}
	n := int(binary.LittleEndian.Uint16(b[1:]))
	c := &column{width: int(b[0]), wide: n > 255}
	size, codes := n*c.width, blockEvents
	if c.wide {
		codes *= 2
	}
	if n == 0 {
		codes = 0
	}
	if n > blockEvents || n > 0 && c.width == 0 || len(b) != 3+size+codes {
		return nil, fmt.Errorf("%w: a column of the log has another size", ErrCorrupt)
	}
	c.values, c.codes = b[3:3+size], b[3+size:]
	for i := 0; i < len(c.codes); i++ {
		code := int(c.codes[i])
		if c.wide {
			code |= int(c.codes[i+1]) << 8
			i++
		}
		if code > n {
			return nil, fmt.Errorf("%w: a column of the log refers to no value", ErrCorrupt)
		}
	}
	return c, nil
}

// columnBuilder makes a column, event by event.
type columnBuilder struct {
	width  int
	places map[string]uint16
	values []byte
	codes  [blockEvents]uint16
}

// put notes the value of an event: cut or filled with zeros to the width.
func (b *columnBuilder) put(i int, value []byte) {
	fixed := make([]byte, b.width)
	copy(fixed, value)
	place, ok := b.places[string(fixed)]
	if !ok {
		if b.places == nil {
			b.places = map[string]uint16{}
		}
		place = uint16(len(b.places) + 1)
		b.places[string(fixed)] = place
		b.values = append(b.values, fixed...)
	}
	b.codes[i] = place
}

// column is what was put so far, which shares nothing with the builder.
func (b *columnBuilder) column() *column {
	c := &column{width: b.width, values: append([]byte(nil), b.values...), wide: len(b.places) > 255}
	switch {
	case len(b.places) == 0:
	case c.wide:
		c.codes = make([]byte, 0, 2*blockEvents)
		for _, code := range b.codes {
			c.codes = binary.LittleEndian.AppendUint16(c.codes, code)
		}
	default:
		c.codes = make([]byte, blockEvents)
		for i, code := range b.codes {
			c.codes[i] = byte(code)
		}
	}
	return c
}
