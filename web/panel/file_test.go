package panel

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestFile_NoCellIsAFormula: what strangers wrote is text to a spreadsheet, and reads
// back as written but for what was taken out or put in front.
func TestFile_NoCellIsAFormula(t *testing.T) {
	hostile := []string{
		"=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "  =1", "\u00a0=1", "\uff1d1", "'=1", "a\x00b", "\xff=", "a,\"b\"\r\nc", "Ünïcode", "",
	}
	f := fileOf[string]{name: "x", columns: []cellOf[string]{{"first", func(s *string) string { return "1" }}, {"second", func(s *string) string { return *s }}}}
	var b bytes.Buffer
	write, flush := f.writer(&b, "csv")
	for i := range hostile {
		if err := write(&hostile[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := flush(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != len(hostile)+1 || !slices.Equal(rows[0], []string{"first", "second"}) {
		t.Fatalf("%q, %v", rows, err)
	}
	for i, row := range rows[1:] {
		cell := strings.TrimLeft(row[1], " \u00a0")
		if cell != "" && strings.ContainsRune("=+-@\t\r\n\uff1d", []rune(cell)[0]) {
			t.Errorf("%q became %q, a formula", hostile[i], row[1])
		}
		if strings.Contains(cell, "\x00") || !utf8.ValidString(cell) {
			t.Errorf("%q became %q", hostile[i], row[1])
		}
	}
	if rows[14][1] != "a,\"b\"\nc" || rows[15][1] != "Ünïcode" {
		t.Errorf("text was changed: %q", rows[14:])
	}
}

// TestFile_EveryListIsOfAPlace: a list that may be had as a file is one of a page.
func TestFile_EveryListIsOfAPlace(t *testing.T) {
	all, _ := Patterns()
	for pattern := range files {
		if !slices.Contains(all, pattern) {
			t.Errorf("%s is no place", pattern)
		}
	}
}
