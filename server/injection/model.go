package injection

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A Model is what training found: a weight for each bucket of features, and what a
// sum of weights means. It has numbers and no text.
type Model struct {
	Version    string
	Weights    []int8  // Buckets of them
	Scale      float64 // logit of one unit of weight
	Bias       float64
	Length     float64 // logit taken away for each doubling of the windows: the maximum of many is higher
	Suspicious float64 // score above which a message is Suspicious: one in 100 harmless mails reaches it
	Quarantine float64 // score above which it is put away: one in 1,000 does
}

//go:embed model.bin
var shipped []byte

// Shipped is the model that this binary ships with.
func Shipped() *Model {
	m, err := DecodeModel(shipped)
	if err != nil {
		panic(err) // our own file: the tests decode it
	}
	return m
}

const modelMagic = "POSTERN-INJECTION-1\n"

// ErrModel: bytes are no model.
var ErrModel = errors.New("injection: not a model")

// AppendBinary appends the stored form.
func (m *Model) AppendBinary(b []byte) []byte {
	b = append(b, modelMagic...)
	b = append(b, byte(len(m.Version)))
	b = append(b, m.Version...)
	for _, f := range []float64{m.Scale, m.Bias, m.Length, m.Suspicious, m.Quarantine} {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(f))
	}
	for _, w := range m.Weights {
		b = append(b, byte(w))
	}
	return b
}

// DecodeModel reads what AppendBinary wrote; ErrModel for everything else.
func DecodeModel(b []byte) (*Model, error) {
	head := len(modelMagic)
	if len(b) < head+1 || string(b[:head]) != modelMagic {
		return nil, ErrModel
	}
	n := int(b[head])
	b = b[head+1:]
	if len(b) != n+5*8+Buckets {
		return nil, fmt.Errorf("%w: %d bytes", ErrModel, len(b))
	}
	m := &Model{Version: string(b[:n]), Weights: make([]int8, Buckets)}
	b = b[n:]
	for _, f := range []*float64{&m.Scale, &m.Bias, &m.Length, &m.Suspicious, &m.Quarantine} {
		*f = math.Float64frombits(binary.BigEndian.Uint64(b))
		if math.IsNaN(*f) || math.IsInf(*f, 0) {
			return nil, ErrModel
		}
		b = b[8:]
	}
	for i, w := range b {
		m.Weights[i] = int8(w)
	}
	return m, nil
}

// sum adds the weights of features. Whole numbers alone are added, so that the same
// bytes score the same on every machine.
func (m *Model) sum(list []uint32) int32 {
	var s int32
	for _, f := range list {
		s += int32(m.Weights[f])
	}
	return s
}

// best finds the window of a text with the highest sum, and its first block.
func (m *Model) best(p *Passage, sums []int32) (top int32, at int, _ []int32) {
	sums = sums[:0]
	for _, b := range p.Blocks {
		sums = append(sums, m.sum(b.Features))
	}
	top = math.MinInt32
	for i := range p.Windows() {
		blocks, mask := p.Window(i)
		s := int32(m.Weights[mask])
		for j := range blocks {
			s += sums[i+j]
		}
		if s > top {
			top, at = s, i
		}
	}
	return top + m.sum(p.Whole), at, sums
}
