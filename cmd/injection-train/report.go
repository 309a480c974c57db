package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
)

// figures of a set of scored examples.
type figures struct {
	negatives []float64
	attacks   map[string][]float64
	over      map[string][]float64
}

func measure(examples []*example, score func(*example) float64) *figures {
	f := &figures{attacks: map[string][]float64{}, over: map[string][]float64{}}
	scores := make([]float64, len(examples))
	var wait sync.WaitGroup
	for k := range 2 {
		wait.Go(func() {
			for i := k; i < len(examples); i += 2 {
				scores[i] = score(examples[i])
			}
		})
	}
	wait.Wait()
	for i, e := range examples {
		s := scores[i]
		switch {
		case e.Label == 1 && e.Kind != "attack_prompt":
			f.attacks[group(e)] = append(f.attacks[group(e)], s)
		case e.Label == 1:
		case e.Kind == "ham" || e.Kind == "spam" || e.Kind == "newsletter" || e.Kind == "fixture":
			f.negatives = append(f.negatives, s)
		default:
			f.over[e.Kind] = append(f.over[e.Kind], s)
		}
	}
	slices.Sort(f.negatives)
	return f
}

func group(e *example) string {
	g, _, _ := strings.Cut(e.Family, "_")
	return g
}

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

func (f *figures) print(title string) {
	if len(f.negatives) == 0 {
		return
	}
	one, tenth := f.at(.01), f.at(.001)
	var all []float64
	for _, s := range f.attacks {
		all = append(all, s...)
	}
	fmt.Printf("\n%s: AUC %.4f, recall at 1 %% %.3f (over %.3f), at 0.1 %% %.3f (over %.3f); %d harmless, %d attacks\n",
		title, f.auc(all), share(all, one), one, share(all, tenth), tenth, len(f.negatives), len(all))
	for _, g := range sortedKeys(f.attacks) {
		fmt.Printf("  %-24s %5d  %.4f  %.3f  %.3f\n", g, len(f.attacks[g]), f.auc(f.attacks[g]), share(f.attacks[g], one), share(f.attacks[g], tenth))
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

func report(title string, m *weights, examples []*example, o options) {
	measure(examples, func(e *example) float64 { return m.score(e, o) }).print(title)
}

func worst(m *weights, examples []*example, o options) {
	type row struct {
		s  float64
		e  *example
		at window
	}
	var rows []row
	for _, e := range examples {
		at, _, _ := m.best(e)
		rows = append(rows, row{m.score(e, o), e, at})
	}
	slices.SortFunc(rows, func(a, b row) int {
		if a.s > b.s {
			return -1
		}
		return 1
	})
	n := 0
	for _, r := range rows {
		if r.e.Label == 0 && n < 14 {
			n++
			fmt.Println("FP", r.s, r.e.ID, r.e.Source, r.e.Kind, r.at.p.View, r.at.p.Part, r.at.i)
		}
	}
	for i := len(rows) - 1; i > 0; i-- {
		r := rows[i]
		if r.e.Label == 1 && r.e.Kind != "attack_prompt" && (strings.HasPrefix(r.e.Family, "obf") || strings.HasPrefix(r.e.Family, "mime")) {
			v := "none"
			if r.at.p != nil {
				v = r.at.p.View.String()
			}
			fmt.Printf("FN %.3f %s %s %s\n", r.s, r.e.ID, r.e.Family, v)
			if n++; n > 45 {
				break
			}
		}
	}
}
