package main

import (
	"math"
	"math/rand/v2"
	"slices"

	"postern/server/injection"
)

// options of training.
type options struct {
	Frame  stage
	Words  stage
	Length float64
	Copies int // how often an instruction of our own is put into another mail
	Seed   uint64
}

// stage is how a part of the model is trained.
type stage struct {
	Epochs int
	Rate   float64 // of weights
	Net    float64 // of the hidden layer
	L2     float64
	Keep   float64 // share of the features of a window that are looked at in a step
	Ours   float64 // how much more mail of our own teaches than the open data
}

var defaults = options{
	Frame:  stage{Epochs: 5, Rate: 0.004, Net: 0.002, L2: 1e-4, Keep: 1, Ours: 3},
	Words:  stage{Epochs: 6, Rate: 0.004, Net: 0.005, L2: 1e-4, Keep: 1, Ours: 1},
	Length: 0.2, Copies: 4, Seed: 1,
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
	if o.Copies > 0 {
		examples = append(slices.Clone(examples), carried(examples, o.Copies, o.Seed)...)
	}
	r := rand.New(rand.NewPCG(o.Seed, 2))
	m := &weights{bias: -3, wordBias: -1, length: o.Length, frame: newPart(r), words: newPart(r)}
	clear(m.words.rows) // words say nothing yet
	t := &training{weights: m, part: &m.frame, traits: frameOf, stage: o.Frame, random: r}
	t.run(examples)
	if o.Words.Epochs > 0 {
		m.words = newPart(r)
		t = &training{weights: m, part: &m.words, traits: wordsOf, stage: o.Words, random: r, frames: map[*example][]float32{}}
		t.run(examples)
	}
	return m
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
	kept injection.Traits // room
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
		switch relation := e.relation(w.passage, w.i); {
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
	switch at.e.relation(at.passage, at.i) {
	case edge:
		return
	case outside:
		label = 0
	}
	if at.e.ours() {
		weight *= float32(t.Ours)
	}
	t.learn(at, label, weight)
}

// look gathers what is looked at of a window in this step.
func (t *training) look(blocks []injection.Block) (s sums) {
	t.kept.Weights, t.kept.Rows = t.kept.Weights[:0], t.kept.Rows[:0]
	for i := range blocks {
		all := t.traits(&blocks[i])
		t.kept.Weights = t.keep(t.kept.Weights, all.Weights)
		t.kept.Rows = t.keep(t.kept.Rows, all.Rows)
	}
	s = t.part.sum(t.kept)
	more := float32(1 / t.Keep)
	s.weight *= more
	for k := range s.units {
		s.units[k] *= more
	}
	return s
}

func (t *training) keep(list, all []uint32) []uint32 {
	if t.Keep == 1 {
		return append(list, all...)
	}
	for _, f := range all {
		if t.random.Float64() < t.Keep {
			list = append(list, f)
		}
	}
	return list
}

func (t *training) learn(at window, label, weight float32) {
	p := &at.e.passages[at.passage]
	blocks, mask := p.Window(at.i)
	s := t.look(blocks)
	wholes, logit := []uint32{mask}, t.bias
	if t.frames != nil {
		wholes = p.Whole
	}
	own := t.part.weigh(wholes) + t.part.logit(&s)
	slope := float32(1)
	if t.frames != nil {
		own += t.wordBias
		slope = float32(sigmoid(float64(own)))
		logit += at.frame + max(own, 0)
	} else {
		logit += own
	}
	g := (float32(sigmoid(float64(logit))) - label) * weight * slope
	if g < 1e-4 && g > -1e-4 {
		return
	}
	if t.frames != nil {
		t.wordBias -= float32(t.Rate) * 0.02 * g
	} else {
		t.bias -= float32(t.Rate) * 0.02 * g
	}
	for _, f := range wholes {
		t.step(f, float32(t.Rate*whole), g)
	}
	for _, f := range t.kept.Weights {
		t.step(f, float32(t.Rate), g)
	}
	if t.Net > 0 {
		t.learnNet(&s, g)
	}
}

// step moves one weight.
func (t *training) step(f uint32, rate, g float32) {
	g += float32(t.L2) * t.w[f]
	t.wg[f] += g * g
	t.w[f] -= rate * g / (root(t.wg[f]) + 1e-3)
}

// learnNet moves the hidden layer by the gradient g of a window's logit.
func (t *training) learnNet(s *sums, g float32) {
	var d [units]float32
	for k := range units {
		x := s.units[k] + t.from[k]
		slope := 1 / (1 + max(x, -x))
		d[k] = g * t.out[k] * slope * slope
		t.ada(&t.out[k], &t.og[k], g*bend(x))
		t.ada(&t.from[k], &t.fg[k], d[k])
	}
	for _, f := range t.kept.Rows {
		row, sum := t.rows[int(f)*units:][:units:units], t.rg[int(f)*units:][:units:units]
		for k := range units {
			t.ada(&row[k], &sum[k], d[k])
		}
	}
}

func (t *training) ada(w, sum *float32, g float32) {
	g += float32(t.L2) * *w
	*sum += g * g
	*w -= float32(t.Net) * g / (root(*sum) + 1e-2)
}

func root(x float32) float32 { return float32(math.Sqrt(float64(x))) }
