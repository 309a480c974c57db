package main

import (
	"fmt"
	"io"
)

// sets are labelled messages by what they are for.
type sets struct {
	train []*example
	dev   []*example // held back of the open data: never trained on
	test  []*example // mail of writers who wrote for measuring alone
}

func sort(all []*example) (s sets) {
	for _, e := range all {
		switch e.Split {
		case "dev":
			s.dev = append(s.dev, e)
		case "test":
			s.test = append(s.test, e)
		default:
			s.train = append(s.train, e)
		}
	}
	return s
}

func (m *weights) judge(list []*example) (out []scored) {
	for i, s := range scoreAll(list, m.score) {
		out = append(out, scored{list[i], s})
	}
	return out
}

func only(list []scored, keep func(scored) bool) (out []scored) {
	for _, s := range list {
		if keep(s) {
			out = append(out, s)
		}
	}
	return out
}

// report prints what was measured on messages that the model did not see. The columns
// of a row are recall, or what was left alone, at 1 % and 0.1 % of the harmless mail in
// that table, and at the two thresholds that ship.
func (m *weights) report(w io.Writer, s sets, left []scored) {
	fmt.Fprintf(w, "thresholds %.4f %.4f\n\n", m.suspicious, m.quarantine)
	measure(only(left, func(s scored) bool { return !s.ours() })).table(w, "left out: families and sources", m)
	measure(only(left, func(s scored) bool { return s.ours() })).table(w, "left out: writers", m)
	measure(m.judge(s.dev)).table(w, "held back of the open data", m)
	for _, writer := range sortedKeys(testWriters) {
		list := only(m.judge(s.test), func(s scored) bool { return s.Source == writer })
		measure(list).table(w, "writes for measuring alone: "+writer, m)
	}
}

// ablations are what the trainer can do without, each by itself.
var ablations = []struct {
	name   string
	change func(*options)
}{
	{"as it ships", func(*options) {}},
	{"without words", func(o *options) { o.Words.Epochs = 0 }},
	{"without concepts", func(o *options) { o.Members = 0 }},
	{"without hidden layers", func(o *options) { o.Frame.Net, o.Words.Net = 0, 0 }},
	{"with one frame of all units", func(o *options) { o.Members = 1 }},
	{"without the marks of the writers", func(o *options) { o.Frame.Blind, o.Words.Blind = true, true }},
	{"without putting texts in other mails", func(o *options) { o.Copies = 0 }},
}

// ablate trains without one thing after the other, and measures on what is held back
// and on the writers for measuring.
func ablate(w io.Writer, s sets, o options) {
	for _, a := range ablations {
		changed := o
		a.change(&changed)
		m := fit(s.train, changed)
		measure(m.judge(s.dev)).line(w, a.name+": open")
		measure(m.judge(s.test)).line(w, a.name+": writers")
	}
}
