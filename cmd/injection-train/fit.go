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
	Net    float64
}

var defaults = options{Epochs: 8, Rate: 0.004, L2: 1e-4, Seed: 1, Hard: 1, Length: 0.2, Whole: 8, Net: 0}

// weights are a model in the making.
type weights struct {
	w, g         []float64 // a weight for each bucket, and the sum of its squared gradients
	bias         float64
	emb, eg      []float64 // 1<<15 x dims
	u, ug, c, cg []float64
}

const dims = 16

// hidden computes the hidden layer's input from block sums.
func (m *weights) out(sum []float64) float64 {
	s := 0.0
	for k := range dims {
		s += m.u[k] * math.Tanh(sum[k]+m.c[k])
	}
	return s
}

func (m *weights) coreBlocks(p *injection.Passage) [][dims]float64 {
	sums := make([][dims]float64, len(p.Blocks))
	for i, b := range p.Blocks {
		for _, f := range b.Core {
			e := m.emb[int(f)*dims:][:dims]
			for k := range dims {
				sums[i][k] += e[k]
			}
		}
	}
	return sums
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
		cs := m.coreBlocks(p)
		for i := range p.Windows() {
			n++
			blocks, mask := p.Window(i)
			s := whole + m.w[mask]
			var h [dims]float64
			for j := range blocks {
				s += sums[i+j]
				for k := range dims {
					h[k] += cs[i+j][k]
				}
			}
			s += m.out(h[:])
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
	var h [dims]float64
	for _, b := range blocks {
		for _, f := range b.Features {
			s += m.w[f]
		}
		for _, f := range b.Core {
			for k := range dims {
				h[k] += m.emb[int(f)*dims+k]
			}
		}
	}
	return s + m.out(h[:])
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
	if o.Net == 0 {
		return
	}
	var h, d [dims]float64
	for _, b := range blocks {
		for _, f := range b.Core {
			for k := range dims {
				h[k] += m.emb[int(f)*dims+k]
			}
		}
	}
	ada := func(w, acc *float64, g float64) {
		g += o.L2 * *w
		*acc += g * g
		*w -= o.Net * g / (math.Sqrt(*acc) + 1e-2)
	}
	for k := range dims {
		t := math.Tanh(h[k] + m.c[k])
		d[k] = g * m.u[k] * (1 - t*t)
		ada(&m.u[k], &m.ug[k], g*t)
		ada(&m.c[k], &m.cg[k], d[k])
	}
	for _, b := range blocks {
		for _, f := range b.Core {
			for k := range dims {
				ada(&m.emb[int(f)*dims+k], &m.eg[int(f)*dims+k], d[k])
			}
		}
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// fit trains by logistic regression on windows. Which window of an attack is the
// attack is not known: after a first round over all of them, each example is
// represented by the window that the model finds worst (multi-instance learning). A
// harmless example teaches by that one and by one at random.
func fit(examples []*example, o options) *weights {
	m := &weights{w: make([]float64, injection.Buckets), g: make([]float64, injection.Buckets), bias: -3}
	r := rand.New(rand.NewPCG(o.Seed, 2))
	m.emb, m.eg = make([]float64, dims<<15), make([]float64, dims<<15)
	m.u, m.ug, m.c, m.cg = make([]float64, dims), make([]float64, dims), make([]float64, dims), make([]float64, dims)
	if o.Net > 0 {
		for i := range m.emb {
			m.emb[i] = r.NormFloat64() * 0.05
		}
		for i := range m.u {
			m.u[i] = r.NormFloat64() * 0.5
		}
	}
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
