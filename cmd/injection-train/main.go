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
	corpus := flag.String("corpus", "cmd/injection-train/corpus", "folder of our own mail")
	out := flag.String("out", "", "file to write the model to; empty: only report")
	o := defaults
	o.Frame.flags("frame.")
	o.Words.flags("words.")
	flag.Float64Var(&o.Length, "length", o.Length, "")
	check := flag.Bool("writers", false, "leave each writer out in turn")
	flag.IntVar(&o.Copies, "copies", o.Copies, "of each instruction in other mail")
	flag.Uint64Var(&o.Seed, "seed", o.Seed, "of the random numbers")
	glossary := flag.String("glossary", "", "file to write the glossary to, which is all that is done then")
	flag.Parse()
	if *glossary != "" {
		if err := writeGlossary(*corpus, *glossary); err != nil {
			fmt.Fprintln(os.Stderr, "injection-train:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(*data, *corpus, *out, o, *check); err != nil {
		fmt.Fprintln(os.Stderr, "injection-train:", err)
		os.Exit(1)
	}
}

func run(data, corpus, out string, o options, check bool) error {
	all, err := load(data)
	if err != nil {
		return err
	}
	ours, err := readCorpus(corpus)
	if err != nil {
		return err
	}
	all = append(all, ours...)
	takeApart(all)
	sets := map[string][]*example{}
	for _, e := range all {
		set := e.Split
		if set == "test" {
			set = e.Source
		}
		sets[set] = append(sets[set], e)
	}
	fmt.Printf("%d to train on, %d held back, %d by a writer left out\n", len(sets["train"]), len(sets["dev"]), len(sets["eve"]))
	if check {
		if os.Getenv("PAIRS") != "" {
			leavePairs(sets["train"], o)
			return nil
		}
		leaveWriters(sets["train"], o)
		return nil
	}
	m := fit(sets["train"], o)
	m.report("held back", sets["dev"])
	m.report("eve", sets["eve"])
	if out == "" {
		return nil
	}
	m.calibrate(sets["train"], o)
	fmt.Printf("thresholds %.4f %.4f\n", m.suspicious, m.quarantine)
	b, err := m.quantise("2").AppendBinary(nil)
	if err != nil {
		return err
	}
	return os.WriteFile(out, b, 0o644)
}

func writeGlossary(corpus, file string) error {
	g, err := readGlossary(corpus)
	if err != nil {
		return err
	}
	b := g.AppendBinary(nil)
	fmt.Printf("%d concepts, %d terms, %d bytes\n", len(g.Classes), len(g.Terms), len(b))
	return os.WriteFile(file, b, 0o644)
}

func (s *stage) flags(prefix string) {
	flag.IntVar(&s.Epochs, prefix+"epochs", s.Epochs, "rounds over the examples")
	flag.Float64Var(&s.Rate, prefix+"rate", s.Rate, "of weights")
	flag.Float64Var(&s.Net, prefix+"net", s.Net, "rate of the hidden layer; 0: none")
	flag.Float64Var(&s.L2, prefix+"l2", s.L2, "decay")
	flag.Float64Var(&s.Keep, prefix+"keep", s.Keep, "share of features looked at in a step")
	flag.Float64Var(&s.Ours, prefix+"ours", s.Ours, "weight of our own mail")
}
