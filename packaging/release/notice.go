package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// notice is the licence of Postern and those of everything that is linked into it,
// word for word.
func (r *release) notice(ctx context.Context) (string, error) {
	info, err := buildinfo.ReadFile(r.program())
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Postern %s\nCopyright The Postern Authors\n\n", r.version)
	b.WriteString("Licensed under the Apache License, Version 2.0, which Debian systems keep in\n/usr/share/common-licenses/Apache-2.0.\n\n")
	b.WriteString("The binary has inside what follows, under the terms that follow each.\n")
	b.WriteString("The panel's scripts htmx 2.0.11 and htmx-ext-sse 2.2.4 are under the Zero-Clause\nBSD licence, which asks for no notice.\n")
	root, err := output(ctx, r.source, "go", "env", "GOROOT")
	if err != nil {
		return "", err
	}
	if err := licences(&b, "The Go programming language "+info.GoVersion, root); err != nil {
		return "", err
	}
	folders, err := moduleFolders(ctx, r.source)
	if err != nil {
		return "", err
	}
	for _, m := range info.Deps {
		if err := licences(&b, m.Path+" "+m.Version, folders[m.Path]); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// moduleFolders says where the source of each module lies.
func moduleFolders(ctx context.Context, source string) (map[string]string, error) {
	list, err := output(ctx, source, "go", "list", "-m", "-f", "{{.Path}} {{.Dir}}", "all")
	if err != nil {
		return nil, err
	}
	folders := map[string]string{}
	for line := range strings.Lines(list) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		folders[path] = dir
	}
	return folders, nil
}

// licences writes what a folder says of its terms. A module that says nothing could
// not be shipped: that is an error.
func licences(b *strings.Builder, name, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	found := 0
	fmt.Fprintf(b, "\n%s\n%s\n", strings.Repeat("=", 78), name)
	for _, e := range entries {
		if !e.Type().IsRegular() || !isLicence(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "\n%s\n", terms(string(text)))
		found++
	}
	if found == 0 {
		return fmt.Errorf("%s has no file with its licence in %s", name, dir)
	}
	return nil
}

// isLicence reports whether a file says under which terms others may have it.
func isLicence(name string) bool {
	base := strings.ToUpper(strings.TrimSuffix(strings.TrimSuffix(name, filepath.Ext(name)), "-MIT"))
	return slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS", "COPYRIGHT"}, func(word string) bool {
		return strings.HasPrefix(base, word)
	})
}

// terms is the text of a licence: whole, but for one that Debian systems have already,
// of which what its holder put in stays.
func terms(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(strings.ReplaceAll(text, "\r", "")), "?")
	if !strings.Contains(text, "Apache License") || !strings.Contains(text, "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION") {
		return text
	}
	kept := "Apache License, Version 2.0: /usr/share/common-licenses/Apache-2.0"
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "Copyright ") && !strings.Contains(line, "[") {
			kept += "\n" + line
		}
	}
	return kept
}
