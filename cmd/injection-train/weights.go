package main

import (
	"math"
	"math/rand/v2"

	"postern/server/injection"
)

const units = injection.Units

// weights are a model in the making.
type weights struct {
	words, frame part
	bias         float32 // logit of a window without features
	wordBias     float32 // what words must speak for to count
	length       float64 // logit taken away for each doubling of the windows
	suspicious   float64
	quarantine   float64
}

// part is one of its parts. Beside each number stands the sum of its squared
// gradients, by which its steps shrink (Adagrad).
type part struct {
	w, wg    []float32
	rows, rg []float32 // units numbers a row
	from, fg [units]float32
	out, og  [units]float32
	lo, hi   int // hidden units that are in use
}

// newPart is a part that knows nothing. Of its hidden units only those from lo to hi
// are to learn.
func newPart(r *rand.Rand, lo, hi int) part {
	w, n := 1<<injection.WeightBits, units<<injection.RowBits
	p := part{lo: lo, hi: hi, w: make([]float32, w), wg: make([]float32, w), rows: make([]float32, n), rg: make([]float32, n)}
	for i := range p.rows {
		if k := i % units; lo <= k && k < hi {
			p.rows[i] = float32(r.NormFloat64() * 0.05)
		}
	}
	for k := lo; k < hi; k++ {
		p.out[k] = float32(r.NormFloat64() * 0.5)
	}
	return p
}

// join adds a share of what another part says, one whose hidden units are others.
func (p *part) join(o *part, share float32) {
	p.lo, p.hi = min(p.lo, o.lo), max(p.hi, o.hi)
	for i := range p.w {
		p.w[i] += share * o.w[i]
	}
	for i := range p.rows {
		p.rows[i] += o.rows[i]
	}
	for k := range units {
		p.from[k] += o.from[k]
		p.out[k] += share * o.out[k]
	}
}

// sums are what a block adds to every window that it is in.
type sums struct {
	weight float32
	units  [units]float32
}

func (s *sums) add(o *sums) {
	s.weight += o.weight
	for k := range units {
		s.units[k] += o.units[k]
	}
}

func (p *part) weigh(list []uint32) (s float32) {
	for _, f := range list {
		s += p.w[f]
	}
	return s
}

// sum adds up what a block shows where it is number j of a window.
func (p *part) sum(t injection.Traits, j int) sums {
	s := sums{weight: p.weigh(t.Weights.At(j))}
	for _, r := range t.Rows.At(j) {
		row := p.rows[int(r)*units:][:units:units]
		for k := p.lo; k < p.hi; k++ {
			s.units[k] += row[k]
		}
	}
	return s
}

// bend is the bent sum of a hidden unit.
func bend(x float32) float32 { return x / (1 + max(x, -x)) }

func (p *part) logit(s *sums) float32 {
	l := s.weight
	for k := p.lo; k < p.hi; k++ {
		l += p.out[k] * bend(s.units[k]+p.from[k])
	}
	return l
}

// each calls use for every window of a passage, with the logit that a part gives it.
// The sums are room to work in.
func (p *part) each(passage *injection.Passage, traits func(*injection.Block) injection.Traits, start func(mask uint32) float32, use func(i int, logit float32)) {
	var room [128]sums
	list := room[:0] // of each block, at each of its places in a window while it differs
	for i := range passage.Blocks {
		t := traits(&passage.Blocks[i])
		for j := range injection.WindowBlocks {
			if j > 0 && len(t.Weights.At(j)) == len(t.Weights.At(j-1)) && len(t.Rows.At(j)) == len(t.Rows.At(j-1)) {
				list = append(list, list[len(list)-1])
			} else {
				list = append(list, p.sum(t, j))
			}
		}
	}
	for i := range passage.Windows() {
		blocks, mask := passage.Window(i)
		s := sums{weight: start(mask)}
		for j := range blocks {
			s.add(&list[(i+j)*injection.WindowBlocks+j])
		}
		use(i, p.logit(&s))
	}
}

func wordsOf(b *injection.Block) injection.Traits { return b.Words }
func frameOf(b *injection.Block) injection.Traits { return b.Frame }

// frames are the logits that the frame gives to the windows of an example.
func (m *weights) frames(e *example) []float32 {
	var list []float32
	for k := range e.passages {
		m.frame.each(&e.passages[k], frameOf, func(mask uint32) float32 { return m.frame.w[mask] }, func(_ int, l float32) { list = append(list, l) })
	}
	return list
}

// window is a window of an example.
type window struct {
	e          *example
	passage, i int
	frame      float32 // logit that the frame gives it
	logit      float32
}

// windows calls use for every window of an example, with its logit. The logits of the
// frame may be known.
func (m *weights) windows(e *example, frames []float32, use func(window)) {
	if frames == nil {
		frames = m.frames(e)
	}
	n := 0
	for k := range e.passages {
		p := &e.passages[k]
		whole := m.words.weigh(p.Whole)
		m.words.each(p, wordsOf, func(uint32) float32 { return whole }, func(i int, l float32) {
			use(window{e, k, i, frames[n], frames[n] + max(l+m.wordBias, 0) + m.bias})
			n++
		})
	}
}

// best finds the window that speaks most for an attack; n is how many windows the
// example has.
func (m *weights) best(e *example) (at window, n int) {
	at.logit = float32(math.Inf(-1))
	m.windows(e, nil, func(w window) {
		n++
		if w.logit > at.logit {
			at = w
		}
	})
	return at, n
}

// score is what the shipped model would give, rules of form apart.
func (m *weights) score(e *example) float64 {
	at, n := m.best(e)
	if n == 0 {
		return 0
	}
	return sigmoid(float64(at.logit) - m.length*math.Log2(float64(n)))
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
