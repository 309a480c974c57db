package main

import (
	"math"
	"math/rand/v2"

	"postern/server/injection"
)

// options of training.
type options struct {
	Epochs int
	Rate   float64
	L2     float64
	Decay  float64
	Seed   uint64
	Length float64
	Hard   int
	Whole  float64
}

var defaults = options{Epochs: 15, Rate: 0.004, L2: 1e-2, Seed: 1, Hard: 1, Length: 0.2, Whole: 8}

// weights are a model in the making.
type weights struct {
	w, g []float64 // a weight for each bucket, and the sum of its squared gradients
	bias float64
}

// window is a window of a passage of an example.
type window struct {
	p *injection.Passage
	i int
}

func (m *weights) blocks(p *injection.Passage) []float64 {
	sums := make([]float64, len(p.Blocks))
	for i, b := range p.Blocks {
		for _, f := range b.Features {
			sums[i] += m.w[f]
		}
	}
	return sums
}

// best finds the window that speaks most for an attack, and its logit; n is how
// many windows the example has.
func (m *weights) best(e *example) (at window, logit float64, n int) {
	logit = math.Inf(-1)
	for k := range e.passages {
		p := &e.passages[k]
		if p.Windows() == 0 {
			continue
		}
		whole := m.bias
		for _, f := range p.Whole {
			whole += m.w[f]
		}
		sums := m.blocks(p)
		for i := range p.Windows() {
			n++
			blocks, mask := p.Window(i)
			s := whole + m.w[mask]
			for j := range blocks {
				s += sums[i+j]
			}
			if s > logit {
				at, logit = window{p, i}, s
			}
		}
	}
	return at, logit, n
}

func (m *weights) logit(at window) float64 {
	blocks, mask := at.p.Window(at.i)
	s := m.bias + m.w[mask]
	for _, f := range at.p.Whole {
		s += m.w[f]
	}
	for _, b := range blocks {
		for _, f := range b.Features {
			s += m.w[f]
		}
	}
	return s
}

// learn moves the weights of one window towards its label.
func (m *weights) learn(at window, label, weight float64, o options) {
	g := (sigmoid(m.logit(at)) - label) * weight
	if math.Abs(g) < 1e-4 {
		return
	}
	rate := o.Rate
	step := func(f uint32) {
		d := g + o.L2*m.w[f]
		m.g[f] += d * d
		m.w[f] -= rate * d / (math.Sqrt(m.g[f]) + 1e-3)
	}
	blocks, mask := at.p.Window(at.i)
	rate = o.Rate * o.Whole
	step(mask)
	for _, f := range at.p.Whole {
		step(f)
	}
	rate = o.Rate
	for _, b := range blocks {
		for _, f := range b.Features {
			step(f)
		}
	}
	m.bias -= o.Rate * 0.02 * g
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// fit trains by logistic regression on windows. Which window of an attack is the
// attack is not known: after a first round over all of them, each example is
// represented by the window that the model finds worst (multi-instance learning). A
// harmless example teaches by that one and by one at random.
func fit(examples []*example, o options) *weights {
	m := &weights{w: make([]float64, injection.Buckets), g: make([]float64, injection.Buckets), bias: -3}
	r := rand.New(rand.NewPCG(o.Seed, 2))
	order := r.Perm(len(examples))
	for epoch := range o.Epochs {
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, k := range order {
			e := examples[k]
			if epoch == 0 {
				m.learnAll(e, o)
				continue
			}
			at, _, n := m.best(e)
			if n == 0 {
				continue
			}
			m.learn(at, float64(e.Label), e.Weight, o)
			if e.Label == 0 && n > 1 {
				m.learn(pick(e, r), 0, e.Weight, o)
				for range o.Hard {
					at, l, _ := m.best(e)
					if l < -2 {
						break
					}
					m.learn(at, 0, e.Weight, o)
				}
			}
		}
	}
	return m
}

// learnAll teaches every window of an example a little.
func (m *weights) learnAll(e *example, o options) {
	n := 0
	for k := range e.passages {
		n += e.passages[k].Windows()
	}
	for k := range e.passages {
		for i := range e.passages[k].Windows() {
			m.learn(window{&e.passages[k], i}, float64(e.Label), e.Weight/math.Sqrt(float64(n)), o)
		}
	}
}

// pick chooses a window at random.
func pick(e *example, r *rand.Rand) window {
	for {
		p := &e.passages[r.IntN(len(e.passages))]
		if n := p.Windows(); n > 0 {
			return window{p, r.IntN(n)}
		}
	}
}

func (m *weights) score(e *example, o options) float64 {
	_, logit, n := m.best(e)
	if n == 0 {
		return 0
	}
	return sigmoid(logit - o.Length*math.Log2(float64(n)))
}
