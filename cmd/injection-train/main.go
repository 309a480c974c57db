// Command injection-train makes the model of package injection.
//
//	go run ./cmd/injection-train -data open.jsonl -out server/injection/model.bin
//
// It reads labelled messages: JSON Lines with id, label, kind, family, source, and
// text, eml or eml_b64, and the mail that our own writers wrote (folder corpus,
// part of this command). It trains, calibrates the thresholds by cross-validation
// that leaves whole families, sources and writers out, and prints what it measured.
// The same input gives the same model.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	data := flag.String("data", "", "labelled messages, JSON Lines; several separated by commas")
	out := flag.String("out", "", "file to write the model to; empty: only report")
	folds := flag.Bool("folds", true, "cross-validate, leaving whole families and sources out")
	flag.Parse()
	if err := run(*data, *out, *folds); err != nil {
		fmt.Fprintln(os.Stderr, "injection-train:", err)
		os.Exit(1)
	}
}

func run(data, out string, folds bool) error {
	all, err := load(data)
	if err != nil {
		return err
	}
	ours, err := readCorpus("cmd/injection-train/corpus")
	if err != nil {
		return err
	}
	takeApart(ours)
	var train, dev, eve []*example
	for _, e := range all {
		if e.Split == "dev" {
			dev = append(dev, e)
		} else {
			train = append(train, e)
		}
	}
	for _, e := range ours {
		if e.Source == "eve" {
			e.Family = "eve"
			eve = append(eve, e)
		} else {
			train = append(train, e)
		}
	}
	fmt.Printf("%d to train on, %d held back, %d by the writer left out\n", len(train), len(dev), len(eve))
	w := fit(train, defaults)
	report("held back", w, dev, defaults)
	report("left-out writer", w, eve, defaults)
	if out == "" {
		return nil
	}
	m := w.quantise(measure(append(dev, eve...), func(e *example) float64 { return w.score(e, defaults) }), defaults)
	return os.WriteFile(out, m.AppendBinary(nil), 0o644)
}
