package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"postern/server/injection"
)

// options of training.
type options struct {
	Frame   stage
	Words   stage
	Length  float64
	Copies  int // how often an instruction of our own is put into another mail
	Members int // frames that are trained apart, and then agree
	Seed    uint64
}

// stage is how a part of the model is trained.
type stage struct {
	Epochs int
	Rate   float64 // of weights
	Net    float64 // of the hidden layer
	L2     float64
	Ours   float64 // how much more mail of our own teaches than the open data
	Hard   float64 // how much more again what is harmless and looks suspicious does
	Blind  bool    // do not look at the marks of the writers
}

var defaults = options{
	Frame:  stage{Epochs: 5, Rate: 0.004, Net: 0.002, L2: 1e-4, Ours: 3, Hard: 2},
	Words:  stage{Epochs: 6, Rate: 0.004, Net: 0.005, L2: 1e-4, Ours: 1, Hard: 2},
	Length: 0.2, Copies: 4, Members: 2, Seed: 1,
}

// whole is how much faster what a text shows as a whole is learned.
const whole = 8

// fit trains by logistic regression on windows, first what the named concepts say, in
// any language, then what is left for words to say. Where the marks do not say which
// window of an attack is the attack, the example is represented, after a first round
// over all of them, by the window that the model finds worst (multi-instance
// learning). A harmless example teaches by that one and by one at random; so does
// what stands around a marked attack.
func fit(examples []*example, o options) *weights {
	more := examples
	if o.Copies > 0 {
		more = append(slices.Clone(examples), carried(examples, o.Copies, o.Seed)...)
	}
	m := &weights{length: o.Length, wordBias: -1}
	m.frame, m.words = newPart(nil, 0, 0), newPart(nil, 0, 0)
	for _, member := range frames(more, o) {
		share := 1 / float32(o.Members)
		m.frame.join(&member.frame, share)
		m.bias += share * member.bias
	}
	if o.Words.Epochs > 0 {
		r := rand.New(rand.NewPCG(o.Seed, uint64(o.Members)))
		m.words = newPart(r, 0, units)
		t := &training{weights: m, part: &m.words, traits: wordsOf, stage: o.Words, random: r, frames: map[*example][]float32{}}
		t.run(examples)
	}
	return m
}

// frames trains the members of the frame, each with hidden units of its own.
func frames(examples []*example, o options) []*weights {
	members := make([]*weights, o.Members)
	var wait sync.WaitGroup
	for k := range members {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(o.Seed, uint64(k)))
			m := &weights{bias: -3, frame: newPart(r, k*units/o.Members, (k+1)*units/o.Members)}
			t := &training{weights: m, part: &m.frame, traits: frameOf, stage: o.Frame, random: r}
			t.run(examples)
			members[k] = m
		})
	}
	wait.Wait()
	return members
}

// training is the training of one part.
type training struct {
	*weights
	*part
	stage
	traits func(*injection.Block) injection.Traits
	random *rand.Rand
	frames map[*example][]float32 // what the frame says, when that is trained already

	rest map[*example]int // rounds that an example sits out because it has nothing to teach
}

func (t *training) run(examples []*example) {
	t.rest = map[*example]int{}
	order := t.random.Perm(len(examples))
	for epoch := range t.Epochs {
		t.random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, k := range order {
			switch e := examples[k]; {
			case epoch == 0:
				t.all(e)
			case t.rest[e] > 0:
				t.rest[e]--
			default:
				t.example(e)
			}
		}
	}
}

// relation of a window to what the writers have marked.
func (t *training) relation(at window) relation {
	if t.Blind {
		return unknown
	}
	return at.e.relation(at.passage, at.i)
}

// each calls use for every window of an example.
func (t *training) each(e *example, use func(window)) {
	if t.frames != nil {
		if t.frames[e] == nil {
			t.frames[e] = t.weights.frames(e)
		}
		t.windows(e, t.frames[e], use)
		return
	}
	for k := range e.passages {
		t.frame.each(&e.passages[k], frameOf, func(mask uint32) float32 { return t.frame.w[mask] }, func(i int, l float32) {
			use(window{e, k, i, l, l + t.bias})
		})
	}
}

// fewWindows of an example are enough for the first round.
const fewWindows = 8

// all teaches windows from everywhere in an example a little.
func (t *training) all(e *example) {
	var list []window
	t.each(e, func(w window) { list = append(list, w) })
	t.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	weight := float32(1 / math.Sqrt(float64(max(len(list), 1))))
	for _, w := range list[:min(len(list), fewWindows)] {
		t.teach(w, weight)
	}
}

// sure is the logit from which an example has nothing to teach for a while.
const sure = 4

// example teaches the windows that matter.
func (t *training) example(e *example) {
	worst := window{logit: float32(math.Inf(-1))}
	harmless, any := worst, window{}
	n := 0
	t.each(e, func(w window) {
		n++
		switch relation := t.relation(w); {
		case e.Label == 1 && relation <= inside:
			if w.logit > worst.logit {
				worst = w
			}
		case e.Label == 0 || relation == outside:
			if w.logit > harmless.logit {
				harmless = w
			}
			if t.random.IntN(n) == 0 {
				any = w
			}
		}
	})
	if (worst.e == nil || worst.logit > sure) && harmless.logit < -sure {
		t.rest[e] = 2
		return
	}
	if worst.e != nil {
		t.teach(worst, 1)
	}
	if harmless.e != nil {
		t.teach(harmless, 1)
	}
	if any.e != nil && any != harmless {
		t.teach(any, 1)
	}
}

// teach moves the weights of one window towards its label.
func (t *training) teach(at window, weight float32) {
	label := float32(at.e.Label)
	switch t.relation(at) {
	case edge:
		return
	case outside:
		label = 0
	}
	if at.e.ours() {
		weight *= float32(t.Ours)
		if at.e.Sort == "hard" {
			weight *= float32(t.Hard)
		}
	}
	t.learn(at, label, weight)
}

// look adds up what the part sees of a window.
func (t *training) look(blocks []injection.Block) (s sums) {
	for i := range blocks {
		own := t.part.sum(t.traits(&blocks[i]), i)
		s.add(&own)
	}
	return s
}

// learn moves the weights of one window by the gradient of the logistic loss.
func (t *training) learn(at window, label, weight float32) {
	p := &at.e.passages[at.passage]
	blocks, mask := p.Window(at.i)
	wholes, bias := []uint32{mask}, &t.bias
	if t.frames != nil {
		wholes, bias = p.Whole, &t.wordBias
	}
	s := t.look(blocks)
	logit, slope := t.combine(at, t.part.weigh(wholes)+t.part.logit(&s))
	g := (float32(sigmoid(float64(logit))) - label) * weight * slope
	if g < 1e-4 && g > -1e-4 {
		return
	}
	*bias -= float32(t.Rate) * 0.02 * g
	for _, f := range wholes {
		t.step(f, float32(t.Rate*whole), g)
	}
	for i := range blocks {
		p := t.traits(&blocks[i])
		for _, f := range p.Weights.At(i) {
			t.step(f, float32(t.Rate), g)
		}
	}
	if t.Net > 0 {
		t.learnNet(blocks, &s, g)
	}
}

// combine is the logit of a window to which the part that learns gives its own, and
// how much the one moves with the other. Words count above zero alone; below it their
// gradient fades, so that they can come back.
func (t *training) combine(at window, own float32) (logit, slope float32) {
	if t.frames == nil {
		return own + t.bias, 1
	}
	own += t.wordBias
	return t.bias + at.frame + max(own, 0), float32(sigmoid(float64(own)))
}

// step moves one weight.
func (t *training) step(f uint32, rate, g float32) {
	g += float32(t.L2) * t.w[f]
	t.wg[f] += g * g
	t.w[f] -= rate * g / (root(t.wg[f]) + 1e-3)
}

// learnNet moves the hidden layer by the gradient g of a window's logit.
func (t *training) learnNet(blocks []injection.Block, s *sums, g float32) {
	var d [units]float32
	for k := t.lo; k < t.hi; k++ {
		x := s.units[k] + t.from[k]
		slope := 1 / (1 + max(x, -x))
		d[k] = g * t.out[k] * slope * slope
		t.ada(&t.out[k], &t.og[k], g*bend(x))
		t.ada(&t.from[k], &t.fg[k], d[k])
	}
	for i := range blocks {
		p := t.traits(&blocks[i])
		for _, f := range p.Rows.At(i) {
			row, sum := t.rows[int(f)*units:][:units:units], t.rg[int(f)*units:][:units:units]
			for k := t.lo; k < t.hi; k++ {
				t.ada(&row[k], &sum[k], d[k])
			}
		}
	}
}

func (t *training) ada(w, sum *float32, g float32) {
	g += float32(t.L2) * *w
	*sum += g * g
	*w -= float32(t.Net) * g / (root(*sum) + 1e-2)
}

func root(x float32) float32 { return float32(math.Sqrt(float64(x))) }
