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
	Text                            *string
	EML                             *string `json:"eml"`
	EMLB64                          *string `json:"eml_b64"`
	Weight                          float64
	Pair                            string

	passages []injection.Passage
}

// load reads labelled messages from files, and takes them apart.
func load(files string) ([]*example, error) {
	var all []*example
	for _, name := range strings.Split(files, ",") {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		s := bufio.NewScanner(f)
		s.Buffer(make([]byte, 1<<20), 256<<20)
		for s.Scan() {
			e := &example{Weight: 1}
			if err := json.Unmarshal(s.Bytes(), e); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, e)
		}
		f.Close()
		if err := s.Err(); err != nil {
			return nil, err
		}
	}
	takeApart(all)
	return all, nil
}

// takeApart reads the messages, on all processors.
func takeApart(all []*example) {
	var wait sync.WaitGroup
	n := runtime.NumCPU()
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
	keep := func(p *injection.Passage) { e.passages = append(e.passages, clone(p)) }
	switch {
	case e.EMLB64 != nil:
		b, _ := base64.StdEncoding.DecodeString(*e.EMLB64)
		e.mail(b, keep)
	case e.EML != nil:
		e.mail([]byte(*e.EML), keep)
	case e.Text != nil:
		injection.PassagesOfText([]byte(*e.Text), keep)
	}
	e.Text, e.EML, e.EMLB64 = nil, nil, nil
}

func (e *example) mail(b []byte, keep func(*injection.Passage)) {
	s := message.Parse(bytes.NewReader(b), int64(len(b)))
	injection.Passages(injection.Input{Body: bytes.NewReader(b), Structure: s}, keep)
}

func clone(p *injection.Passage) injection.Passage {
	c := injection.Passage{View: p.View, Part: p.Part, Whole: slices.Clone(p.Whole)}
	for _, b := range p.Blocks {
		c.Blocks = append(c.Blocks, injection.Block{Features: slices.Clone(b.Features), Slots: b.Slots, Core: slices.Clone(b.Core)})
	}
	return c
}
