package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// changelog is the newest part of the changelog in Debian's form (deb-changelog(5)):
// that of the version, or what is not released yet.
func (r *release) changelog() (string, error) {
	text, err := os.ReadFile(filepath.Join(r.source, "packaging/CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "postern (%s) stable; urgency=medium\n", r.version)
	for part := range strings.SplitSeq(string(text), "\n## ") {
		heading, body, _ := strings.Cut(part, "\n")
		if name, _, _ := strings.Cut(heading, " "); name == "Unreleased" || name == r.version {
			changes(&b, body)
		}
	}
	fmt.Fprintf(&b, "\n -- %s  %s\n", r.maintainer, r.at.Format(time.RFC1123Z))
	return b.String(), nil
}

// changes writes a part of the changelog: headings in brackets, items with a star.
func changes(b *strings.Builder, body string) {
	var item []string
	end := func() {
		fill(b, "  * ", "    ", item)
		item = nil
	}
	for line := range strings.Lines(body) {
		heading, isHeading := strings.CutPrefix(line, "### ")
		first, isItem := strings.CutPrefix(line, "- ")
		switch {
		case isHeading:
			end()
			fmt.Fprintf(b, "\n  [ %s ]\n", strings.TrimSpace(heading))
		case isItem:
			end()
			item = strings.Fields(first)
		default:
			item = append(item, strings.Fields(line)...)
		}
	}
	end()
}

// fill writes words in lines of at most 79 characters.
func fill(b *strings.Builder, first, rest string, words []string) {
	line := first
	for i, word := range words {
		if i > 0 && len(line)+1+len(word) > 79 {
			b.WriteString(line + "\n")
			line = rest + word
		} else if i > 0 {
			line += " " + word
		} else {
			line += word
		}
	}
	if len(words) > 0 {
		b.WriteString(line + "\n")
	}
}
