package main

import (
	"fmt"
	"hash/fnv"
)

// leaveOut trains once for each group of families, on everything else and on four of
// five harmless messages, and measures on what was left out.
func leaveOut(all []*example, o options, by func(*example) string) {
	groups := map[string]bool{}
	for _, e := range all {
		if e.Label == 1 && e.Kind != "attack_prompt" {
			groups[by(e)] = true
		}
	}
	total := &figures{attacks: map[string][]float64{}, over: map[string][]float64{}}
	_ = total
	const parts = 5
	names := sortedKeys(groups)
	for part := range parts {
		var train, test []*example
		for _, e := range all {
			out := hash(e.ID)%parts == uint32(part)
			if e.Label == 1 {
				out = index(names, by(e))%parts == part
			}
			if out {
				test = append(test, e)
			} else {
				train = append(train, e)
			}
		}
		m := fit(train, o)
		f := measure(test, func(e *example) float64 { return m.score(e, o) })
		f.print(fmt.Sprintf("left out %d of %d", part+1, parts))
	}
}

func hash(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}

func index(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return 0
}
