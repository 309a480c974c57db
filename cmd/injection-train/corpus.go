package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

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
		writer, lang := filepath.Base(filepath.Dir(name)), strings.TrimSuffix(filepath.Base(name), ".txt")
		for i, text := range strings.Split("\n"+string(b), "\n== ")[1:] {
			head, body, _ := strings.Cut(text, "\n")
			all = append(all, written(head, body, writer, lang, i))
		}
	}
	return all, nil
}

// written makes an example of one mail.
func written(head, body, writer, lang string, i int) *example {
	fields := strings.Fields(head)
	e := &example{ID: fmt.Sprintf("%s-%s-%d", writer, lang, i), Source: writer, Family: "written_" + lang, Split: "train", Weight: 1, Kind: "ham"}
	switch fields[0] {
	case "attack":
		e.Label, e.Kind = 1, "attack_mail"
	case "hard":
		e.Kind = "hardneg_mail"
	}
	for _, f := range fields[1:] {
		if pair, ok := strings.CutPrefix(f, "pair="); ok {
			e.Pair = lang + pair
		}
	}
	eml := "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n" + strings.NewReplacer("[[", "", "]]", "").Replace(body)
	e.EML = &eml
	return e
}
