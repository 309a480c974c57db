package injection

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"sync"
)

// A Model is what training found: weights, and what a sum of weights means. It has
// numbers and no text. All its arithmetic is in whole numbers, so that the same bytes
// score the same on every machine; a logit is counted in units of 1/[One].
type Model struct {
	Version  string
	Words    Part  // what the words of a window speak for
	Frame    Part  // and what they name, in whatever language
	Bias     int32 // logit of a text without features
	WordBias int32 // added to what words speak for; below zero they do not count
	Length   int32 // logit taken away for each doubling of the windows: the maximum of many is higher

	Suspicious float64 // score above which a message is Suspicious: one in 100 harmless mails reaches it
	Quarantine float64 // score above which it is put away: one in 1,000 does
}

// One is how a logit of 1 is counted.
const One = 1 << 16

// A Part of a model has a weight for each feature by itself and a hidden layer over
// all of a window. Each of its units sums a number for every feature and bends the sum
// by n/(Half+|n|), which is what makes a machine, an act and a secret weigh more
// together than apart, whatever their order.
type Part struct {
	Weights []int8       // 1<<WeightBits of them
	Unit    int32        // logit of one unit of weight
	Rows    []int8       // 1<<RowBits rows of Units numbers
	Half    int32        // the sum at which a unit has half of its effect
	From    [Units]int32 // the sum of a window without features
	Out     [Units]int32 // logit of a unit's full effect

	lanes []uint64 // Rows to add eight at a time: see lay
}

// Sizes of a part.
const (
	WeightBits = 17
	RowBits    = 13
	Units      = 32

	partSize = 1<<WeightBits + Units<<RowBits
)

//go:embed model.bin
var shipped []byte

// Shipped is the model that this binary ships with. It is shared: do not change it.
var Shipped = sync.OnceValue(func() *Model {
	m, err := DecodeModel(shipped)
	if err != nil {
		panic(err) // our own file: the tests decode it
	}
	return m
})

const modelMagic = "POSTERN-INJECTION-4\n"

// ErrModel: bytes are no model.
var ErrModel = errors.New("injection: not a model")

// maxVersion is the longest name of a model, in bytes.
const maxVersion = 64

// AppendBinary appends the stored form: a magic line, the version, numbers in network
// byte order, weights, and a CRC-32 of all that.
func (m *Model) AppendBinary(b []byte) ([]byte, error) {
	if len(m.Version) > maxVersion || !m.Words.complete() || !m.Frame.complete() {
		return nil, ErrModel
	}
	start := len(b)
	b = append(b, modelMagic...)
	b = append(b, byte(len(m.Version)))
	b = append(b, m.Version...)
	for _, n := range m.numbers() {
		b = binary.BigEndian.AppendUint32(b, uint32(*n))
	}
	for _, f := range []float64{m.Suspicious, m.Quarantine} {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(f))
	}
	for _, p := range []*Part{&m.Words, &m.Frame} {
		b = appendSigned(appendSigned(b, p.Weights), p.Rows)
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:])), nil
}

// numbers are the numbers of fixed width, in the order of the file.
func (m *Model) numbers() []*int32 {
	list := []*int32{&m.Bias, &m.WordBias, &m.Length}
	for _, p := range []*Part{&m.Words, &m.Frame} {
		list = append(list, &p.Unit, &p.Half)
		for k := range Units {
			list = append(list, &p.From[k], &p.Out[k])
		}
	}
	return list
}

func (p *Part) complete() bool {
	return len(p.Weights) == 1<<WeightBits && len(p.Rows) == Units<<RowBits
}

func appendSigned(b []byte, list []int8) []byte {
	for _, w := range list {
		b = append(b, byte(w))
	}
	return b
}

// modelSize is the length of a stored model without its version.
const modelSize = len(modelMagic) + 1 + 4*(3+2*(2+2*Units)) + 2*8 + 2*partSize + crc32.Size

// DecodeModel reads what AppendBinary wrote; ErrModel for everything else.
func DecodeModel(b []byte) (*Model, error) {
	head := len(modelMagic)
	if len(b) < modelSize || string(b[:head]) != modelMagic || len(b) != modelSize+int(b[head]) || b[head] > maxVersion {
		return nil, fmt.Errorf("%w: %d bytes", ErrModel, len(b))
	}
	sum := len(b) - crc32.Size
	if crc32.ChecksumIEEE(b[:sum]) != binary.BigEndian.Uint32(b[sum:]) {
		return nil, fmt.Errorf("%w: checksum", ErrModel)
	}
	n := head + 1 + int(b[head])
	m := &Model{Version: string(b[head+1 : n])}
	b = b[n:sum]
	for _, n := range m.numbers() {
		*n, b = int32(binary.BigEndian.Uint32(b)), b[4:]
	}
	for _, f := range []*float64{&m.Suspicious, &m.Quarantine} {
		*f, b = math.Float64frombits(binary.BigEndian.Uint64(b)), b[8:]
	}
	for _, p := range []*Part{&m.Words, &m.Frame} {
		p.Weights, p.Rows = signed(b[:1<<WeightBits]), signed(b[1<<WeightBits:partSize])
		b = b[partSize:]
	}
	return m, m.check()
}

func signed(b []byte) []int8 {
	list := make([]int8, len(b))
	for i, c := range b {
		list[i] = int8(c)
	}
	return list
}

// check refuses numbers that no training gives and arithmetic would stumble over.
func (m *Model) check() error {
	const most = 1 << 26
	for _, n := range m.numbers() {
		if *n > most || *n < -most {
			return fmt.Errorf("%w: a number is out of range", ErrModel)
		}
	}
	if m.Words.Half <= 0 || m.Frame.Half <= 0 || !(0 < m.Suspicious && m.Suspicious <= m.Quarantine && m.Quarantine < 1) {
		return fmt.Errorf("%w: thresholds", ErrModel)
	}
	return nil
}

// sums are what some features add up to.
type sums struct {
	weight int32
	units  [Units]int32
}

func (s *sums) add(o *sums) {
	s.weight += o.weight
	for k, n := range &o.units {
		s.units[k] += n
	}
}

func (s *sums) sub(o *sums) {
	s.weight -= o.weight
	for k, n := range &o.units {
		s.units[k] -= n
	}
}

// weigh adds weights up.
func (p *Part) weigh(list []uint32) (sum int32) {
	for _, f := range list {
		sum += int32(p.Weights[f])
	}
	return sum
}

// lay puts eight numbers of a row side by side in one word, each 128 too great so that
// none is below zero. A row is half of a line of the processor's cache.
func (p *Part) lay() {
	p.lanes = make([]uint64, len(p.Rows)/8)
	for i := range p.lanes {
		r := p.Rows[8*i:][:8]
		p.lanes[i] = 0x8080808080808080 ^ (uint64(uint8(r[0])) | uint64(uint8(r[1]))<<8 | uint64(uint8(r[2]))<<16 | uint64(uint8(r[3]))<<24 |
			uint64(uint8(r[4]))<<32 | uint64(uint8(r[5]))<<40 | uint64(uint8(r[6]))<<48 | uint64(uint8(r[7]))<<56)
	}
}

const (
	// laneRows is how many rows can be added before a lane of 16 bits runs over.
	laneRows = 1<<16/256 - 1
	// evenLanes are every other number of eight, with room for a sum.
	evenLanes = 0x00FF00FF00FF00FF
)

// sum is that of weights and rows.
func (p *Part) sum(weights, rows []uint32) sums {
	s := sums{weight: p.weigh(weights)}
	p.addRows(rows, &s, nil)
	return s
}

// addRows adds rows to one sum, and to another if there is one.
func (p *Part) addRows(rows []uint32, to, also *sums) {
	for len(rows) > 0 {
		n := min(len(rows), laneRows)
		even, odd := p.addLanes(rows[:n])
		for k := range even {
			for lane := range 4 {
				at, a := 8*k+2*lane, int32(uint16(even[k]>>(16*lane)))-int32(128*n)
				b := int32(uint16(odd[k]>>(16*lane))) - int32(128*n)
				to.units[at] += a
				to.units[at+1] += b
				if also != nil {
					also.units[at] += a
					also.units[at+1] += b
				}
			}
		}
		rows = rows[n:]
	}
}

// addLanes adds at most laneRows rows. Its sums are variables and not arrays, which the
// compiler would keep in memory.
func (p *Part) addLanes(rows []uint32) (even, odd [Units / 8]uint64) {
	var e0, e1, e2, e3, o0, o1, o2, o3 uint64
	for _, r := range rows {
		row := (*[Units / 8]uint64)(p.lanes[int(r)*(Units/8):])
		e0, o0 = e0+row[0]&evenLanes, o0+row[0]>>8&evenLanes
		e1, o1 = e1+row[1]&evenLanes, o1+row[1]>>8&evenLanes
		e2, o2 = e2+row[2]&evenLanes, o2+row[2]>>8&evenLanes
		e3, o3 = e3+row[3]&evenLanes, o3+row[3]>>8&evenLanes
	}
	return [Units / 8]uint64{e0, e1, e2, e3}, [Units / 8]uint64{o0, o1, o2, o3}
}

// logit is what features speak for one by one, and together.
func (p *Part) logit(s *sums) int64 {
	total := int64(s.weight) * int64(p.Unit)
	for k, n := range &s.units {
		n := int64(n) + int64(p.From[k])
		total += int64(p.Out[k]) * n / (int64(p.Half) + max(n, -n))
	}
	return total
}

// blockSums are what a block adds to the window that it is in.
type blockSums struct{ words, frame sums }

// best finds the window of a text with the highest logit, and its first block. The
// sums are room to work in.
func (m *Model) best(p *Passage, room []blockSums) (top int64, at int, _ []blockSums) {
	room = room[:0]
	const last = WindowBlocks - 1
	for i := range p.Blocks {
		w, f := &p.Blocks[i].Words, &p.Blocks[i].Frame
		room = append(room, blockSums{m.Words.sum(w.Weights.At(last), w.Rows.At(last)), m.Frame.sum(f.Weights.At(last), f.Rows.At(last))})
	}
	top = math.MinInt64
	s := blockSums{words: sums{weight: m.Words.weigh(p.Whole)}}
	next := 0 // block that comes into the window
	for i := range p.Windows() {
		if i > 0 {
			s.words.sub(&room[i-1].words)
			s.frame.sub(&room[i-1].frame)
		}
		blocks, mask := p.Window(i)
		for d := 1; i > 0 && d < WindowBlocks && d <= next-i; d++ {
			m.Words.uncover(&blocks[d-1].Words, d, &s.words, &room[i+d-1].words)
			m.Frame.uncover(&blocks[d-1].Frame, d, &s.frame, &room[i+d-1].frame)
		}
		for ; next < i+len(blocks); next++ {
			s.words.add(&room[next].words)
			s.frame.add(&room[next].frame)
		}
		framed := m.Frame.logit(&s.frame) + int64(m.Frame.Weights[mask])*int64(m.Frame.Unit)
		if l := framed + max(0, m.Words.logit(&s.words)+int64(m.WordBias)); l > top {
			top, at = l, i
		}
	}
	return top + int64(m.Bias), at, room
}

// uncover adds to a window, and to what a block adds to it, what the block shares with
// the one that has just left, d before it.
func (p *Part) uncover(t *Traits, d int, window, block *sums) {
	w := p.weigh(t.Weights.shown(d))
	window.weight += w
	block.weight += w
	p.addRows(t.Rows.shown(d), window, block)
}

// chance is the score of a logit: the logistic function, by additions and
// multiplications that every machine rounds alike (exp(x) is (1+x/2^20)^(2^20)).
func chance(logit int64) float64 {
	const limit = 30 * One // beyond that a score is 0 or 1 in any case
	x := float64(min(max(logit, -limit), limit)) / One
	e := 1 - float64(x/(1<<20))
	for range 20 {
		e = float64(e * e)
	}
	return 1 / (1 + e)
}

// doublings is the logarithm of n to the base 2, in 1/256, on straight lines between
// the powers of two.
func doublings(n int) int64 {
	steps, rest := int64(0), int64(n)*256
	for rest >= 512 {
		steps, rest = steps+256, rest/2
	}
	return steps + max(rest-256, 0)
}
