package injection

import (
	"cmp"
	"crypto/sha256"
	"math"
	"slices"
	"sync"
)

// A Scorer judges messages with one model. It is safe for concurrent use.
type Scorer struct {
	model *Model
	pool  sync.Pool // of *judge
}

// NewScorer makes a scorer; a nil model is the one that ships.
func NewScorer(m *Model) *Scorer {
	if m == nil {
		m = Shipped()
	}
	laid := *m
	laid.Words.lay()
	laid.Frame.lay()
	m = &laid
	s := &Scorer{model: m}
	s.pool.New = func() any { return newJudge(m) }
	return s
}

// Score judges a message. The same bytes give the same result with the same model,
// on every machine.
func (s *Scorer) Score(in Input) Result {
	j := s.pool.Get().(*judge) // one that panics does not come back
	j.begin()
	j.reader.message(in)
	r := j.result()
	s.pool.Put(j)
	return r
}

// ScoreText judges a text that is in no message.
func (s *Scorer) ScoreText(text []byte) Result {
	j := s.pool.Get().(*judge)
	defer s.pool.Put(j)
	j.begin()
	j.reader.begin(int64(len(text)))
	j.reader.segment(segment{view: Text, part: "1", text: text})
	return j.result()
}

// judge is the state of one judgement.
type judge struct {
	model   *Model
	reader  reader
	sums    []blockSums
	windows int     // of all texts: the maximum of many is higher
	best    int64   // logit of the best window
	floor   float64 // score that a rule of form demands
	found   []Evidence
	texts   int
	reasons Reason
}

func newJudge(m *Model) *judge {
	j := &judge{model: m}
	j.reader.use, j.reader.differ = j.passage, j.differ
	return j
}

func (j *judge) begin() {
	j.windows, j.best, j.floor, j.found, j.texts, j.reasons = 0, math.MinInt64, 0, nil, 0, 0
}

// passage judges one text.
func (j *judge) passage(p *Passage) {
	j.texts++
	if len(p.Blocks) == 0 {
		return
	}
	logit, at, sums := j.model.best(p, j.sums)
	j.sums = sums
	j.windows += p.Windows()
	j.best = max(j.best, logit)
	score := float32(chance(logit))
	rule, floor := broken(p, float64(score), j.model)
	j.floor = max(j.floor, floor)
	if rule == "" && float64(score) < j.model.Suspicious {
		return
	}
	e := p.evidence(at)
	e.Score, e.Rule, e.Reasons = score, rule, reasonsOf(p, at, rule)
	if float64(score) > j.model.Suspicious {
		j.reader.alternatives.tell(p, at, e, &j.reader.words)
	}
	j.found = append(j.found, e)
	if len(j.found) > 4*maxEvidence {
		j.found = strongest(j.found)
	}
}

// differ judges the alternatives of a body against each other.
func (j *judge) differ(a *alternatives) {
	for _, e := range a.differing() {
		if e.Rule == "" {
			e.Rule = ruleAlternative
		}
		e.Reasons |= AlternativeMismatch
		j.floor = max(j.floor, j.model.Quarantine+above)
		at := slices.IndexFunc(j.found, func(f Evidence) bool { return f.SHA256 == e.SHA256 && f.Part == e.Part && f.View == e.View })
		if at < 0 {
			j.found = append(j.found, e)
		} else {
			j.found[at] = e
		}
	}
}

// evidence is the place of the window that begins at a block.
func (p *Passage) evidence(at int) Evidence {
	from := p.places[at].start
	to := p.places[min(at+WindowBlocks, len(p.Blocks))-1].end
	e := Evidence{View: p.View, Part: p.Part, Chain: p.Chain}
	e.Start, e.End = p.segment.span(from, to)
	e.SHA256 = sha256.Sum256(p.segment.text[from:to])
	return e
}

func strongest(list []Evidence) []Evidence {
	slices.SortStableFunc(list, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(min(len(b.Rule), 1), min(len(a.Rule), 1)), cmp.Compare(b.Score, a.Score))
	})
	return list[:min(len(list), maxEvidence)]
}

// result sums up.
func (j *judge) result() Result {
	score := 0.0
	if j.windows > 0 {
		score = chance(j.best - int64(j.model.Length)*doublings(j.windows)/256)
	}
	score = max(score, j.floor)
	r := Result{Score: float32(score), Model: j.model.Version, Scanned: j.texts, Skipped: j.reader.skipped}
	switch {
	case score > j.model.Quarantine:
		r.Verdict = Quarantine
	case score > j.model.Suspicious:
		r.Verdict = Suspicious
	case len(r.Skipped) > 0:
		r.Verdict = Partial
	default:
		r.Verdict = Clean
	}
	if r.Verdict == Suspicious || r.Verdict == Quarantine {
		r.Evidence = strongest(j.found)
		for _, e := range r.Evidence {
			r.Reasons |= e.Reasons
		}
	}
	if len(r.Skipped) > 0 {
		r.Reasons |= UnscannedContent
	}
	return r
}
