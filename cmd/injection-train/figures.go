package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
)

// scoreAll scores examples on all processors that it may use.
func scoreAll(examples []*example, score func(*example) float64) []float64 {
	scores := make([]float64, len(examples))
	var wait sync.WaitGroup
	n := runtime.GOMAXPROCS(0)
	for k := range n {
		wait.Go(func() {
			for i := k; i < len(examples); i += n {
				scores[i] = score(examples[i])
			}
		})
	}
	wait.Wait()
	return scores
}

// figures of a set of scored examples.
type figures struct {
	negatives []float64            // of harmless mail, rising
	attacks   map[string][]float64 // by group of families, or by writer
	harmless  map[string][]float64 // by kind
}

func measure(list []scored) *figures {
	f := &figures{attacks: map[string][]float64{}, harmless: map[string][]float64{}}
	for _, s := range list {
		switch {
		case s.Label == 1 && s.Kind == "attack_prompt": // a chat, not mail
		case s.Label == 1 && s.ours():
			f.attacks[s.Source] = append(f.attacks[s.Source], s.score)
		case s.Label == 1:
			f.attacks[s.group()] = append(f.attacks[s.group()], s.score)
		default:
			kind := s.Kind
			if s.ours() {
				kind = s.Sort
			}
			f.harmless[kind] = append(f.harmless[kind], s.score)
		}
		if s.mail() {
			f.negatives = append(f.negatives, s.score)
		}
	}
	slices.Sort(f.negatives)
	return f
}

// mail reports whether the example is harmless mail, which sets the thresholds.
func (e *example) mail() bool {
	return e.Kind == "ham" || e.Kind == "spam" || e.Kind == "newsletter" || e.Kind == "fixture"
}

// at is the threshold that a share of harmless mail exceeds.
func (f *figures) at(rate float64) float64 {
	if len(f.negatives) == 0 {
		return 1
	}
	return f.negatives[len(f.negatives)-1-int(rate*float64(len(f.negatives)))]
}

// auc is the chance that an attack scores above a harmless mail.
func (f *figures) auc(scores []float64) float64 {
	s := 0.0
	for _, x := range scores {
		lo, _ := slices.BinarySearch(f.negatives, x)
		hi, _ := slices.BinarySearch(f.negatives, math.Nextafter(x, 2))
		s += float64(lo) + float64(hi-lo)/2
	}
	return s / float64(len(scores)) / float64(len(f.negatives))
}

func share(scores []float64, above float64) float64 {
	n := 0
	for _, x := range scores {
		if x > above {
			n++
		}
	}
	return float64(n) / math.Max(1, float64(len(scores)))
}

// all are the scores of all attacks.
func (f *figures) all() (list []float64) {
	for _, g := range sortedKeys(f.attacks) {
		list = append(list, f.attacks[g]...)
	}
	return list
}

// line prints the figures that matter most.
func (f *figures) line(w io.Writer, title string) {
	all := f.all()
	fmt.Fprintf(w, "%-40s AUC %.4f  recall %.3f at 1 %%, %.3f at 0.1 %% of %d harmless; %d attacks\n",
		title, f.auc(all), share(all, f.at(suspiciousShare)), share(all, f.at(quarantineShare)), len(f.negatives), len(all))
}

// table prints them by groups as well: recall at 1 % and 0.1 % of the harmless mail of
// this set, and at the thresholds that ship; and what was left alone. A set of harmless
// mail alone is measured at the thresholds that ship.
func (f *figures) table(w io.Writer, title string, m *weights) {
	bounds := []float64{m.suspicious, m.quarantine}
	switch {
	case len(f.negatives) > 0 && len(f.attacks) > 0:
		f.line(w, title)
		bounds = append([]float64{f.at(suspiciousShare), f.at(quarantineShare)}, bounds...)
	case len(f.attacks) == 0 && len(f.harmless) > 0:
		fmt.Fprintf(w, "%s, at the thresholds that ship\n", title)
	default:
		return
	}
	row := func(name string, auc string, of func(float64) float64, n int) {
		fmt.Fprintf(w, "  %-24s %5d  %6s", name, n, auc)
		for _, b := range bounds {
			fmt.Fprintf(w, "  %.3f", of(b))
		}
		fmt.Fprintln(w)
	}
	for _, g := range sortedKeys(f.attacks) {
		s := f.attacks[g]
		row(g, fmt.Sprintf("%.4f", f.auc(s)), func(b float64) float64 { return share(s, b) }, len(s))
	}
	for _, g := range sortedKeys(f.harmless) {
		s := f.harmless[g]
		row("left alone: "+g, "", func(b float64) float64 { return 1 - share(s, b) }, len(s))
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
