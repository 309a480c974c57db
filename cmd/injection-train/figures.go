package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// figures of a set of scored examples.
type figures struct {
	negatives []float64
	attacks   map[string][]float64 // by group of families
	over      map[string][]float64 // harmless texts that look suspicious, by kind
}

func measure(examples []*example, score func(*example) float64) *figures {
	f := &figures{attacks: map[string][]float64{}, over: map[string][]float64{}}
	for i, s := range scoreAll(examples, score) {
		f.add(examples[i], s)
	}
	slices.Sort(f.negatives)
	return f
}

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

func (f *figures) add(e *example, s float64) {
	switch {
	case e.Label == 1 && e.Kind != "attack_prompt":
		f.attacks[e.group()] = append(f.attacks[e.group()], s)
	case e.Label == 1:
	case e.mail():
		f.negatives = append(f.negatives, s)
		if e.ours() {
			f.over[e.Sort] = append(f.over[e.Sort], s)
		}
	default:
		f.over[e.Kind] = append(f.over[e.Kind], s)
	}
}

// mail reports whether the example is harmless mail, which sets the thresholds.
func (e *example) mail() bool {
	return e.Kind == "ham" || e.Kind == "spam" || e.Kind == "newsletter" || e.Kind == "fixture"
}

func (e *example) group() string {
	g, _, _ := strings.Cut(e.Family, "_")
	return g
}

// at is the threshold that a share of harmless mail reaches.
func (f *figures) at(rate float64) float64 {
	return f.negatives[len(f.negatives)-1-int(rate*float64(len(f.negatives)))]
}

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

func (f *figures) print(title string) {
	all := f.all()
	if len(f.negatives) == 0 || len(all) == 0 {
		return
	}
	one, tenth := f.at(.01), f.at(.001)
	fmt.Printf("%-26s AUC %.4f, recall at 1 %% %.3f (over %.3f), at 0.1 %% %.3f (over %.3f); %d harmless, %d attacks\n",
		title, f.auc(all), share(all, one), one, share(all, tenth), tenth, len(f.negatives), len(all))
	if len(f.attacks) > 1 {
		for _, g := range sortedKeys(f.attacks) {
			fmt.Printf("  %-24s %5d  %.4f  %.3f  %.3f\n", g, len(f.attacks[g]), f.auc(f.attacks[g]), share(f.attacks[g], one), share(f.attacks[g], tenth))
		}
	}
	for _, g := range sortedKeys(f.over) {
		fmt.Printf("  left alone: %-12s %5d          %.3f  %.3f\n", g, len(f.over[g]), 1-share(f.over[g], one), 1-share(f.over[g], tenth))
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

func (m *weights) report(title string, examples []*example) {
	measure(examples, m.score).print(title)
}
