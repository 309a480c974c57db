// Command injection-train makes the model of package injection.
//
//	go run ./cmd/injection-train -data open.jsonl -out server/injection/model.bin
//
// It reads labelled messages: JSON Lines with id, label, kind, family, source, and
// text, eml or eml_b64, and the mail that our own writers wrote (folder corpus,
// part of this command). It trains, calibrates the thresholds by cross-validation
// that leaves whole families, sources and writers out, and prints what it measured.
// The same input gives the same model.
//
// # What was tried, and what it gave
//
// The measure is mail in 26 languages by a writer from whom nothing was learned, her
// attacks against her harmless mail: AUC, and recall where one harmless mail in a
// hundred is flagged.
//
//   - Weights of words, pairs and triples of words, slots of a request: .75, .17.
//   - A hidden layer over sums of word vectors: .79, .19.
//   - Concepts that a glossary names in every language, beside words: .80, .22. The
//     concepts alone: .89, .25. What words memorise of one writer does not hold for the
//     next; leaving each writer out in turn, words and concepts reach .69 and concepts
//     alone .83.
//   - Putting each instruction into four other mails, and harmless paragraphs into
//     others as well: .93, .47.
//   - Adding words as a second part that sees what the frame says: .86, .24. As a part
//     that may only add, being cut off below zero: .93, .40, and recall on the held
//     back part of the open data rises from .71 to .91.
//   - Three more writers, who brought more attacks than the first four: .95, .49; a
//     second writer for measuring: .98, .82. Two frames that are trained apart and then
//     agree do as well as one; four small ones no better.
//   - Marks of the writers: which windows of an attack are the attack. Without them
//     (multi-instance learning alone) recall on the held-back open data is .81, with
//     them .95.
//   - Harmless mail that talks of such attacks, quotes them, or has their words by
//     chance, three hundred more of them and twice the weight: left alone at the
//     threshold that ships are .88 and .95 of two writers' instead of .73 and .92, and
//     recall falls by .00 and .06.
//   - Looking at a random share of the features in each step changed nothing that could
//     be told from chance. A lower rate of the hidden layer and fewer rounds helped.
//
// What follows was measured by cross-validation: attacks of the open data whose source
// was left out, with its kind of attack, and attacks of writers who were left out, each
// against harmless mail. AUC, recall at 1 % and at 0.1 %; then AUC and recall at 1 %.
//
//   - All of the above: .884, .66, .53; .853, .20.
//   - Counting what a window shows once and not as often as it shows it: .879, .67, .59;
//     .857, .22. A list of forty lines alike is no attack since then.
//   - How sentences open, end, and how long they are; concepts of questions, kinds of
//     text and manners of speech; 160 mails of one more writer: .884, .69, .60; .875, .26.
//   - Words of eleven more languages, and 250 off-topic tasks with as many requests and
//     questions among people that sound alike, put in other mails: .922, .73, .65; .871,
//     .27. What had not been found were translations in languages without words here
//     (spikee's, left out: .883 before, .951 after), and tasks (BIPIA's .66 before, .71
//     after; deepset's .62 before, .69 after). Where tasks are in the training and only
//     their words are new, three in four of BIPIA's are found.
//   - Concepts of talk about attacks (fraud, researcher, workshop, quotation): .923, .73,
//     .66; .872, .27, which is chance.
//   - 124 lines that tell of assistants, rules and attacks without wanting anything, in
//     eighteen languages: left alone of such mail of writers who were left out are .911
//     instead of .901, of one writer for measuring .90 instead of .83 at the threshold
//     that ships. Recall falls by .02 at most.
//   - The model that ships has .925, .74, .64 and .870, .26 so; .981, .89, .86 on the held
//     back part of the open data; .943, .57, .45 and .976, .79, .72 on two writers for
//     measuring. A third wrote before the changes and was measured once, at the end: 35
//     attacks, eight of them plain tasks, AUC .914; at the threshold that ships .69 are
//     found, and of 22 harmless mails that were written to be mistaken 2 are flagged.
//   - What single steps are worth to that model, left out when it judges the held back
//     part (recall at 1 % and 0.1 %, .90 and .87 with all; rules of form count here):
//     counting once .84, .76; sequences of words .88, .77; classes of concepts .88, .84;
//     pairs of concepts .89, .85; sentences .89, .84; slots .90, .86; parts of words .90,
//     .87. Of obfuscated attacks .98 are found with all, .68 without decoding, .70
//     without taking out what has no glyph, .79 without styles, .82 without lookalikes;
//     digits for letters, spacing, turned texts and unseen characters decide nothing
//     there.
//   - A writer of tasks in single lines who is left out is still not found (AUC .51): a
//     line alone does not tell who asks whom. Tasks are found by what has been seen of
//     their kinds, and no other way.
//
// What was tried after that model, and did not make a better one. Cross-validation, on
// the same attacks and harmless mails in each run: AUC, recall at 1 % and at 0.1 % of the
// open sources; then of the seven writers who wrote more than single tasks. No run was
// repeated with another seed: .01 may be chance. As things are: .925, .74, .64; .855,
// .19, .02.
//
//   - How far a sentence is from its topic: how many of its words stand elsewhere in the
//     mail, by how much mail there is, with what the sentence opens with. In the mail of
//     2002 that the open attacks were put into, nine of ten harmless sentences with seven
//     long words or more share one with the rest, and two of ten of the attacks at most.
//     In the short mail of today about four of ten do, in attacks and in harmless mail
//     alike: what is learned there is the age of the mail. .926, .75, .62; .865, .20,
//     .03.
//   - That, and 187 harmless mails in twenty-six languages of one more writer (sam), and
//     261 lines that ask for another form of an answer, for a sentence in it, or for
//     something off topic, with 124 that people write to people about their answers:
//     .932, .75, .64; .851, .18, .03. Of BIPIA's attacks .33 are found instead of .23
//     (AUC .80 instead of .72), deepset's stay where they were (.71), left alone of
//     suspicious-looking mail are .954 instead of .943. The lines cost the other writers
//     what they give to BIPIA. Without sam's mail, of two other writers'
//     suspicious-looking mail .92 and .94 are left alone instead of .95 and .96.
//   - The same without questions of knowledge, and with the glossaries of three languages
//     mended, the whole model: .928, .75, .62; .858, .18, .03. On two writers for
//     measuring .951, .58, .54 and .978, .81, .76, a little better than the model that
//     ships; but .977, .885, .81 instead of .982, .898, .86 on the held back part of the
//     open data, and of suspicious-looking mail of those writers .933 and .902 are left
//     alone instead of .947 and .902. That is no gain to ship.
//   - sam's mail is for measuring now: .91 of the 187 are left alone by the model that
//     ships, and one of them is put away. Flagged are prompts written down for others,
//     orders in a game and on a stage, tests that are to be ignored, and release notes of
//     assistants.
//
// What the open sources that are missed have in common is that nobody is addressed. A
// third of what BIPIA plants are tasks in the middle of a receipt: "What is the capital
// of Brazil?" Who reads that in a mail cannot tell that a machine is meant, and a machine
// that answers has given nothing away. The others want something of the answer itself, a
// cipher, a link, a sentence in it; those are attacks, and found by what has been seen of
// their kinds. Deepset's are what visitors typed into the chat of a newspaper, put into
// mails: half a question, "generate c++", insults, often in a mix of two languages. As
// mail they are not to be expected. Both count as attacks in all figures above; a
// threshold low enough to find them would flag every quiz, homework and reader's
// question.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
)

func main() {
	var c command
	flag.StringVar(&c.data, "data", "", "labelled messages, JSON Lines; several separated by commas")
	flag.StringVar(&c.corpus, "corpus", "cmd/injection-train/corpus", "folder of our own mail and of the glossaries")
	flag.StringVar(&c.version, "version", "0", "name of the model")
	flag.StringVar(&c.out, "out", "", "file to write the model to; empty: only report")
	flag.StringVar(&c.glossary, "glossary", "", "file to write the glossary to, which is all that is done then: the model stands on it")
	flag.BoolVar(&c.quick, "quick", false, "no cross-validation: report on held-back messages alone")
	flag.BoolVar(&c.ablate, "ablate", false, "train without one thing after the other, and report")
	flag.Parse()
	if err := c.run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "injection-train:", err)
		os.Exit(1)
	}
}

// command is what was asked for.
type command struct {
	data, corpus, version, out, glossary string
	quick, ablate                        bool
}

func (c *command) run(w io.Writer) error {
	if c.glossary != "" {
		return c.writeGlossary(w)
	}
	all, err := load(c.data)
	if err != nil {
		return err
	}
	ours, err := readCorpus(c.corpus)
	if err != nil {
		return err
	}
	all = append(all, ours...)
	takeApart(all)
	s := sort(all)
	fmt.Fprintf(w, "%d messages to train on, %d held back, %d by writers for measuring\n", len(s.train), len(s.dev), len(s.test))
	if c.ablate {
		ablate(w, s, defaults)
		return nil
	}
	return c.train(w, s)
}

func (c *command) train(w io.Writer, s sets) error {
	var m *weights
	var left []scored
	var wait sync.WaitGroup
	wait.Go(func() { m = fit(s.train, defaults) })
	if !c.quick {
		wait.Go(func() { left = crossValidate(s.train, defaults) })
	}
	wait.Wait()
	m.calibrate(left)
	m.report(w, s, left)
	if c.out == "" || c.quick {
		return nil
	}
	b, err := m.quantise(c.version).AppendBinary(nil)
	if err != nil {
		return err
	}
	return os.WriteFile(c.out, b, 0o644)
}

func (c *command) writeGlossary(w io.Writer) error {
	g, err := readGlossary(c.corpus)
	if err != nil {
		return err
	}
	b := g.AppendBinary(nil)
	fmt.Fprintf(w, "%d concepts, %d terms, %d bytes\n", len(g.Classes), len(g.Terms), len(b))
	return os.WriteFile(c.glossary, b, 0o644)
}
