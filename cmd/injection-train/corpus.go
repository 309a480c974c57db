package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// testWriters wrote mail that is for measuring alone.
var testWriters = map[string]bool{"eve": true, "ivy": true, "sam": true, "uma": true}

// readCorpus reads mail that our writers wrote: in DIR/WRITER/LANG.txt, each after a
// line "== label kind=… pair=…", the instruction of an attack between [[ and ]].
func readCorpus(dir string) ([]*example, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "??.txt"))
	if err != nil {
		return nil, err
	}
	var all []*example
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for i, text := range strings.Split("\n"+string(b), "\n== ")[1:] {
			head, body, _ := strings.Cut(text, "\n")
			e, err := written(head, body)
			if err != nil {
				return nil, fmt.Errorf("%s, mail %d: %w", name, i+1, err)
			}
			e.origin(name, i)
			all = append(all, e)
		}
	}
	lines, err := readLines(dir)
	return append(all, lines...), err
}

// readLines reads what our writers wrote to be put in mails: in DIR/WRITER/LANG.lines,
// a text a line, after its label.
func readLines(dir string) ([]*example, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "??.lines"))
	if err != nil {
		return nil, err
	}
	var all []*example
	for _, name := range files {
		err := eachLine(name, func(line string) error {
			label, text, _ := strings.Cut(line, " ")
			if label == "attack" {
				text = "[[" + text + "]]"
			}
			e, err := written(label, "From: <post@mail.example>\nSubject: Re:\n\n"+text+"\n")
			if err != nil {
				return err
			}
			e.line = true
			e.origin(name, len(all))
			all = append(all, e)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// origin notes who wrote an example, in what language, from the name of the file.
func (e *example) origin(file string, i int) {
	writer, lang := filepath.Base(filepath.Dir(file)), filepath.Base(file)[:2]
	e.ID, e.Source, e.Lang = fmt.Sprintf("%s-%s-%d", writer, lang, i), writer, lang
	e.Family, e.Split = "written_"+e.Sort, "train"
	if testWriters[writer] {
		e.Split = "test"
	}
	if e.Pair = writer + lang + e.Pair; e.Pair == writer+lang {
		e.Pair = e.ID
	}
}

// sorts are the first words of a mail's line, with the kind that each is.
var sorts = map[string]string{"attack": "attack_mail", "twin": "ham", "person": "ham", "ham": "ham", "hard": "hardneg_mail"}

// written makes an example of one mail.
func written(head, body string) (*example, error) {
	fields := strings.Fields(head)
	if len(fields) == 0 || sorts[fields[0]] == "" {
		return nil, fmt.Errorf("unknown label in %q", head)
	}
	e := &example{Sort: fields[0], Kind: sorts[fields[0]]}
	if e.Sort == "attack" {
		e.Label = 1
	}
	for _, f := range fields[1:] {
		if pair, ok := strings.CutPrefix(f, "pair="); ok {
			e.Pair = pair
		}
	}
	plain, stretches, err := unmark(body)
	if err != nil || (len(stretches) > 0) != (e.Label == 1) {
		return nil, fmt.Errorf("its marks do not fit its label %s (%v)", e.Sort, err)
	}
	e.stretches = stretches
	eml := []byte("MIME-Version: 1.0\n" + plain)
	if !bytes.Contains(eml, []byte("\nContent-Type:")) {
		eml = []byte("MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n" + plain)
	}
	e.raw = eml
	return e, nil
}

// unmark takes the marks out of a text, and returns what stood between them.
func unmark(text string) (plain string, stretches [][]byte, err error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "[[")
		b.WriteString(before)
		if !found {
			break
		}
		inside, after, closed := strings.Cut(rest, "]]")
		if !closed || strings.Contains(inside, "[[") {
			return "", nil, fmt.Errorf("a mark is not closed")
		}
		b.WriteString(inside)
		stretches, text = append(stretches, []byte(strings.TrimSpace(inside))), after
	}
	if strings.Contains(b.String(), "]]") {
		return "", nil, fmt.Errorf("a mark is not opened")
	}
	return b.String(), stretches, nil
}
