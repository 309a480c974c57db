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

// unfinished is how many times more harmless mail reaches a threshold in
// cross-validation, whose models miss a writer or two and a quarter of the harmless
// mail, than in mail that the finished model is measured on.
const unfinished = 2

// calibrate sets the thresholds by scores of harmless mail that each was given by a
// model which had not seen it.
func (m *weights) calibrate(list []scored) {
	m.suspicious, m.quarantine = quantile(list, unfinished*suspiciousShare), quantile(list, unfinished*quarantineShare)
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
