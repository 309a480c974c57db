package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"postern/server/control"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestAU2_TracePage holds what a person sees of a history, line by line.
func TestAU2_TracePage(t *testing.T) {
	for _, name := range []string{"answer", "question"} {
		text, err := os.ReadFile("testdata/trace/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var trace control.Trace
		if err := json.Unmarshal(text, &trace); err != nil {
			t.Fatal(err)
		}
		var out, told bytes.Buffer
		if err := (&talk{out: &out, err: &told, format: asTable}).trace(&trace); err != nil {
			t.Fatal(err)
		}
		golden := "testdata/trace/" + name + ".golden"
		if *update {
			if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s:\n%s\nwant:\n%s", name, out.Bytes(), want)
		}
	}
}
