package main

import (
	"cmp"
	"slices"
)

// Shares of harmless mail that may reach the thresholds.
const (
	suspiciousShare = 0.01
	quarantineShare = 0.001
)

// folds is how many parts cross-validation makes.
const folds = 3

// calibrate sets the thresholds by scores of harmless mail that each was given by a
// model which had not seen it.
func (m *weights) calibrate(train []*example, o options) {
	var list []scored
	for part := range uint32(folds) {
		seen, unseen := split(train, func(e *example) bool { return e.fold() == part })
		held := fit(seen, o)
		for _, e := range unseen {
			if e.Label == 0 {
				list = append(list, scored{e, held.score(e)})
			}
		}
	}
	m.suspicious, m.quarantine = quantile(list, suspiciousShare), quantile(list, quarantineShare)
}

// fold is the part that an example is in: together with all that say the same.
func (e *example) fold() uint32 {
	return hash(cmp.Or(e.Payload, e.Pair, e.ID)) % folds
}

// split parts examples into those that are out and the others.
func split(all []*example, out func(*example) bool) (in, left []*example) {
	for _, e := range all {
		if out(e) {
			left = append(left, e)
		} else {
			in = append(in, e)
		}
	}
	return in, left
}

// scored is an example with the score that it was given.
type scored struct {
	*example
	score float64
}

// quantile is the score that a share of harmless mail exceeds, where our own modern
// mail in many languages counts for as much in total as all of the open data, which
// is old and English.
func quantile(list []scored, share float64) float64 {
	list = slices.DeleteFunc(slices.Clone(list), func(s scored) bool { return !s.mail() })
	ours := 0
	for _, s := range list {
		if s.ours() {
			ours++
		}
	}
	slices.SortFunc(list, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	above := 0.0
	for _, s := range list {
		if s.ours() {
			above += 0.5 / float64(ours)
		} else {
			above += 0.5 / float64(len(list)-ours)
		}
		if above >= share {
			return s.score
		}
	}
	return 1
}
