package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"postern/server/injection"
	"postern/server/message"
)

// example is a labelled message and what the model sees of it.
type example struct {
	ID, Kind, Family, Source, Split string
	Label                           int
	Payload                         string
	Text                            *string
	EML                             *string `json:"eml"`
	EMLB64                          *string `json:"eml_b64"`

	Sort, Lang string   `json:"-"` // of mail of our own: attack, twin, person, ham, hard; its language
	Pair       string   `json:"-"` // what an attack and its harmless twins have in common
	raw        []byte   // the message
	line       bool     // it is one line, and only worth something in another mail
	plain      bool     // raw is a text that is in no message
	stretches  [][]byte // what of an attack steers the machine, when that is known

	passages []injection.Passage
	marked   []span // where the stretches are, when they were found
}

// span is some blocks of a passage.
type span struct{ passage, from, to int }

// ours reports whether one of our own writers wrote it.
func (e *example) ours() bool { return e.Sort != "" }

// load reads labelled messages from files.
func load(files string) ([]*example, error) {
	var all []*example
	for _, name := range strings.Split(files, ",") {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		s := bufio.NewScanner(f)
		s.Buffer(make([]byte, 1<<20), 256<<20)
		for s.Scan() {
			e := &example{}
			if err := json.Unmarshal(s.Bytes(), e); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if err := e.content(); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, e.ID, err)
			}
			all = append(all, e)
		}
		if err := s.Err(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// content finds the bytes of a labelled message.
func (e *example) content() (err error) {
	switch {
	case e.EMLB64 != nil:
		e.raw, err = base64.StdEncoding.DecodeString(*e.EMLB64)
	case e.EML != nil:
		e.raw = []byte(*e.EML)
	case e.Text != nil:
		e.raw, e.plain = []byte(*e.Text), true
	}
	if e.Payload != "" {
		e.stretches = [][]byte{[]byte(strings.TrimSpace(e.Payload))}
	}
	e.Text, e.EML, e.EMLB64 = nil, nil, nil
	return err
}

// takeApart reads the messages, on all processors that it may use.
func takeApart(all []*example) {
	var wait sync.WaitGroup
	n := runtime.GOMAXPROCS(0)
	for i := range n {
		wait.Go(func() {
			for j := i; j < len(all); j += n {
				all[j].read()
			}
		})
	}
	wait.Wait()
}

// read takes the message apart.
func (e *example) read() {
	e.passages, e.marked = nil, nil
	keep := func(p *injection.Passage) {
		for _, s := range e.stretches {
			if from, to, ok := p.Find(s); ok {
				e.marked = append(e.marked, span{len(e.passages), from, to})
			}
		}
		e.passages = append(e.passages, clone(p))
	}
	if e.plain {
		injection.PassagesOfText(e.raw, keep)
		return
	}
	r := bytes.NewReader(e.raw)
	injection.Passages(injection.Input{Body: r, Structure: message.Parse(r, r.Size())}, keep)
}

func clone(p *injection.Passage) injection.Passage {
	c := injection.Passage{View: p.View, Part: p.Part, Whole: slices.Clone(p.Whole), Blocks: slices.Clone(p.Blocks)}
	for i := range c.Blocks {
		for _, t := range []*injection.Traits{&c.Blocks[i].Words, &c.Blocks[i].Frame} {
			*t = injection.Traits{Weights: t.Weights.Clone(), Rows: t.Rows.Clone()}
		}
	}
	return c
}

// relation says whether a window shows the instruction, as far as the marks tell.
type relation uint8

const (
	unknown relation = iota // nothing is marked
	inside                  // it holds half of a marked stretch, or stands inside of one
	edge                    // it holds a little
	outside                 // it holds nothing
)

// relation of the window that begins at block i of a passage.
func (e *example) relation(passage, i int) relation {
	if len(e.marked) == 0 {
		return unknown
	}
	r := outside
	for _, s := range e.marked {
		if s.passage != passage {
			continue
		}
		shared := min(s.to, i+injection.WindowBlocks) - max(s.from, i)
		switch {
		case 2*shared >= s.to-s.from || 2*shared > injection.WindowBlocks:
			return inside
		case shared > 0:
			r = edge
		}
	}
	return r
}
