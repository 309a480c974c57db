package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
)

// leaveWriters trains without each of our writers in turn, and measures on that one.
func leaveWriters(all []*example, o options) {
	auc, recall := 0.0, 0.0
	if os.Getenv("OPEN") == "0" {
		all = slices.DeleteFunc(slices.Clone(all), func(e *example) bool { return !e.ours() })
	}
	writers := []string{"ada", "bea", "cid", "dan"}
	for _, writer := range writers {
		var train, test []*example
		for i, e := range all {
			switch {
			case e.Source == writer:
				test = append(test, e)
			case e.ours() || i%3 == 0:
				train = append(train, e)
			}
		}
		m := fit(train, o)
		f := measure(test, m.score)
		fmt.Printf("%s %.3f %.3f; ", writer, f.auc(f.all()), share(f.all(), f.at(.01)))
		auc += f.auc(f.all()) / float64(len(writers))
		recall += share(f.all(), f.at(.01)) / float64(len(writers))
	}
	pauc, prec := 0.0, 0.0
	for part := range uint32(3) {
		var train, test []*example
		for i, e := range all {
			switch {
			case e.ours() && hash(e.Pair)%3 == part:
				test = append(test, e)
			case e.ours() || i%3 == 0:
				train = append(train, e)
			}
		}
		m := fit(train, o)
		f := measure(test, m.score)
		pauc += f.auc(f.all()) / 3
		prec += share(f.all(), f.at(.01)) / 3
	}
	fmt.Printf("pairs %.4f %.3f ", pauc, prec)
	fmt.Printf("mean %.4f %.3f\n", auc, recall)
}

func hash(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}

func leavePairs(all []*example, o options) {
	type row struct {
		e *example
		s float64
	}
	var rows []row
	for part := range uint32(3) {
		var train, test []*example
		for i, e := range all {
			switch {
			case e.ours() && hash(e.Pair)%3 == part:
				test = append(test, e)
			case e.ours() || i%3 == 0:
				train = append(train, e)
			}
		}
		m := fit(train, o)
		f := measure(test, m.score)
		f.print("pairs")
		for _, e := range test {
			rows = append(rows, row{e, m.score(e)})
		}
	}
	if os.Getenv("SHOW") == "" {
		return
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.s, b.s) })
	for _, r := range rows {
		if r.e.Label == 1 && r.e.Lang == "en" {
			fmt.Printf("%.3f ", r.s)
			for _, x := range r.e.stretches {
				fmt.Printf("| %s", x)
			}
			fmt.Println()
		}
	}
	slices.Reverse(rows)
	n := 0
	for _, r := range rows {
		if r.e.Label == 0 && r.e.Lang == "en" {
			if n++; n < 25 {
				fmt.Printf("FP %.3f %s %s\n", r.s, r.e.ID, r.e.raw)
			}
		}
	}
}
