package injection

// A stop is what ends behind a word.
type stop uint8

const (
	noStop    stop = iota
	statement      // a full stop
	question
	exclamation
	clause // a colon or a semicolon: what comes next is said, listed or explained
	line   // a line that ends without a stop: a heading, an item of a list
)

// stops are the characters of ASCII that may end something.
var stops = [256]stop{'.': statement, '?': question, '!': exclamation, ':': clause, ';': clause, '\n': line}

// stopOf is what a character beyond ASCII ends.
func stopOf(r rune) stop {
	switch r {
	case 0x3002, 0xFF0E, 0x0964, 0x06D4, 0x0589:
		return statement
	case 0xFF1F, 0x061F, 0x037E:
		return question
	case 0xFF01:
		return exclamation
	case 0xFF1A, 0xFF1B, 0x061B:
		return clause
	}
	return noStop
}

// shortLine is the length in bytes below which a line was ended by its writer and not
// by the width of a page.
const shortLine = 60

// punctuation reads one of [stops] at i. A stop inside of a number, an address or a
// word ends nothing.
func (w *words) punctuation(text []byte, i int, c byte) {
	next := byte('\n')
	if i+1 < len(text) {
		next = text[i+1]
	}
	switch {
	case c == '\n':
		if next == '\n' || next == '\r' || i-w.line < shortLine && !('a' <= next && next <= 'z') {
			w.end(line)
		}
		w.line = i + 1
	case next <= ' ' || next == '"' || next == '\'' || next == ')' || next >= 0x80:
		w.end(stops[c])
	}
}

// end ends what the last word belongs to. The first of several stops counts.
func (w *words) end(s stop) {
	w.stopped = true
	if n := len(w.list); n > 0 && w.list[n-1].stop == noStop {
		w.list[n-1].stop = s
	}
}

// sentence is what is known of the one that is being read. Who wants something of a
// machine puts it in a sentence that names an act or asks a question at once, and has
// no more in it than that; who writes to a person says who wants it, of whom, by when.
type sentence struct {
	begin  int
	opener concept // named by its first words; class and id count from 1
	last   uint32  // class of the concept named last
	first  uint32  // stem of the first word
}

// opening is how many words a sentence has to name what it opens with.
const opening = 2

// openSentence begins one at word i.
func (f *features) openSentence(i int, stem uint32) {
	f.sentence = sentence{begin: i, first: stem}
	f.words.add(kindFirst, stem, 0)
}

// inSentence adds a concept with the one that opened its sentence.
func (f *features) inSentence(c concept) {
	s := &f.sentence
	id, class := c.id, c.class+1
	switch {
	case s.opener.id == 0 && c.at < s.begin+opening:
		s.opener = concept{id, class, c.at}
		f.frame.add(kindOpener, id, 0)
		f.frame.row(kindOpener, id, 0)
	case s.opener.id != 0:
		f.frame.add(kindOpenerClass, s.opener.id, class)
		f.frame.add(kindClassOpener, s.opener.class, id)
	}
	s.last = class
}

// closeSentence ends one with word i: what it opened with, how it ends, how long it is.
func (f *features) closeSentence(i int, end stop) {
	s := &f.sentence
	form := uint32(end)<<8 | uint32(lengthStep(i+1-s.begin))
	f.frame.add(kindSentence, s.opener.class, form)
	f.frame.add(kindSentenceEnd, s.opener.id, uint32(end))
	f.frame.add(kindSentenceLast, s.opener.class<<8|s.last, uint32(end))
	f.frame.row(kindSentence, s.opener.class, form)
	f.words.add(kindFirst, s.first, form+1)
}

// lengthStep is the length of a sentence in steps.
func lengthStep(words int) int {
	for step, bound := range []int{2, 5, 9, 15, 25} {
		if words <= bound {
			return step
		}
	}
	return 5
}
