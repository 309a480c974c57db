package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"postern/server/injection"
)

// readGlossary reads DIR/concepts.txt, the concepts by class, and DIR/WRITER/LANG.glossary,
// by which words a language names each.
func readGlossary(dir string) (*injection.Glossary, error) {
	g := &injection.Glossary{}
	ids := map[string]uint16{}
	class := uint8(0)
	err := eachLine(filepath.Join(dir, "concepts.txt"), func(line string) error {
		_, names, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("no class in %q", line)
		}
		for _, name := range strings.Fields(names) {
			if _, twice := ids[name]; twice {
				return fmt.Errorf("%s has two classes", name)
			}
			ids[name] = uint16(len(g.Classes))
			g.Classes = append(g.Classes, class)
		}
		class++
		return nil
	})
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "??.glossary"))
	if err != nil {
		return nil, err
	}
	languages := languagesOf(files)
	for _, file := range files {
		if err := readTerms(g, file, uint8(slices.Index(languages, filepath.Base(file))), ids); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(g.Terms, func(a, b injection.Term) int {
		return cmp.Or(cmp.Compare(a.Language, b.Language), cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.Concept, b.Concept))
	})
	g.Terms = slices.Compact(g.Terms)
	return g, nil
}

// languagesOf are the languages of files, in order: more than one writer may have
// words of a language.
func languagesOf(files []string) []string {
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// readTerms reads the glossary of one language: "concept form form* …".
func readTerms(g *injection.Glossary, file string, language uint8, ids map[string]uint16) error {
	return eachLine(file, func(line string) error {
		fields := strings.Fields(line)
		id, ok := ids[fields[0]]
		if !ok {
			return fmt.Errorf("unknown concept %q", fields[0])
		}
		for _, form := range fields[1:] {
			if h, ok := injection.HashTerm(form); ok {
				g.Terms = append(g.Terms, injection.Term{Hash: h, Language: language, Concept: id})
			}
		}
		return nil
	})
}

// eachLine calls use for the lines of a file that are no comments.
func eachLine(file string, use func(string) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := use(line); err != nil {
			return fmt.Errorf("%s:%d: %w", file, n, err)
		}
	}
	return s.Err()
}
