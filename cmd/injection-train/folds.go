package main

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
)

// folds is how many parts cross-validation makes. What is measured in one was left
// out when its model was trained: whole sources of attacks with all their families,
// whole tricks of writing and of placing, whole writers, and a part of the harmless
// mail.
const folds = 4

// sourceFold is where the families of a source are left out together.
var sourceFold = map[string]uint32{"spikee": 0, "tasktracker": 1, "grpo": 1, "bipia": 2, "authored": 2, "deepset": 3, "jailbreak": 3, "long": 3}

// writerFold is where a writer is left out. Of each language another writer stays.
var writerFold = map[string]uint32{"ada": 0, "bea": 1, "hal": 1, "fay": 1, "cid": 2, "dan": 3, "gus": 3,
	"lea": 0, "mia": 3, "nia": 2, "oda": 1, "pam": 0, "quin": 3, "rex": 1}

// fold is the part that an example is in.
func (e *example) fold() uint32 {
	if e.ours() {
		return writerFold[e.Source]
	}
	if e.Label == 1 {
		if f, ok := sourceFold[e.group()]; ok {
			return f
		}
		return hash(e.Family) % folds
	}
	return hash(cmp.Or(e.Payload, e.ID)) % folds
}

func (e *example) group() string {
	g, _, _ := strings.Cut(e.Family, "_")
	return g
}

func hash(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}

// crossValidate scores every example by a model that did not see its fold. Its models
// are made with less effort than the one that ships: what it finds is not too good.
func crossValidate(all []*example, o options) (list []scored) {
	o.Members, o.Copies = 1, 2
	var wait sync.WaitGroup
	var found [folds][]scored
	for part := range uint32(folds) {
		wait.Go(func() {
			var in, left []*example
			for _, e := range all {
				if e.fold() == part {
					left = append(left, e)
				} else {
					in = append(in, e)
				}
			}
			found[part] = fit(in, o).judge(left)
		})
	}
	wait.Wait()
	return slices.Concat(found[:]...)
}

// scored is an example with the score that it was given.
type scored struct {
	*example
	score float64
}
