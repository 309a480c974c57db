package injection

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A word is a run of letters and digits, normalised. In scripts without spaces
// each character is a word.
type word struct {
	from, to   int32  // its normalised form, in words.norm
	start, end int32  // where it stood, in the text of the segment
	hash       uint32 // of its normalised form, once the lexicon has marked it
	slots      slots  // what it may do in a request, by the lexicon
	concept    uint16 // what it names, by the glossary, and 1; 0: nothing
	covered    bool   // it belongs to what the character before it names
	opens      bool   // a sentence, a line of its own or a clause begins with it
	stop       stop   // what ends behind it
}

// words is a text as the model reads it: lower case, without accents on Latin
// letters, in one alphabet, without what has no glyph.
type words struct {
	norm  []byte
	list  []word
	split []word // room for the list in another form

	signals   signals
	tags      []byte // what tag characters spell
	selectors []byte // the bytes that runs of variation selectors stand for

	open    bool // a word is being read
	stopped bool // what comes next opens a sentence
	line    int  // where the line began
	scripts scripts
	latin   int // words so far in Latin letters
	other   int // and in letters that may imitate them
	digits  bool
	letters int
	lastVS  int // end of the last variation selector
	flag    int // where tags behind a flag began, and 1
	runVS   []byte
}

// signals counts what a text shows of its form.
type signals struct {
	zeroWidth int // characters without a glyph between Latin letters
	bidi      int // overrides of direction
	mixed     int // words that mix alphabets which look alike
	styled    int // letters in mathematical, enclosed and similar forms
	leet      int // words with digits for letters
	spaced    int // words that were written letter by letter
}

type scripts uint8

const (
	latin scripts = 1 << iota
	cyrillic
	greek
	foreign
)

func (w *words) reset() {
	*w = words{norm: w.norm[:0], list: w.list[:0], split: w.split[:0], tags: w.tags[:0], selectors: w.selectors[:0], runVS: w.runVS[:0]}
}

// at is the normalised form of word i.
func (w *words) at(i int) []byte { return w.norm[w.list[i].from:w.list[i].to] }

// read takes a text apart. Bytes that are no UTF-8 end a word.
func (w *words) read(text []byte) {
	w.reset()
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case isLetter(c):
			i = w.run(text, i)
		case c < utf8.RuneSelf:
			w.ascii(text, i, c)
			i++
		default:
			r, n := utf8.DecodeRune(text[i:])
			w.rune(i, n, r)
			i += n
		}
	}
	w.close(len(text))
	w.endSelectors()
	w.leetEverywhere()
	if without&aspectApart != 0 {
		return
	}
	if w.joinSpaced(minSpaced); w.signals.spaced >= 2 {
		w.joinSpaced(2) // so its short words are written like that too
	}
	w.splitRuns()
}

// run reads letters of ASCII, which most texts are made of, and returns where they end.
func (w *words) run(text []byte, i int) int {
	end := i + 1
	for end < len(text) && isLetter(text[end]) {
		end++
	}
	w.letter(i, latin)
	w.letters += end - i - 1
	for _, c := range text[i:end] {
		w.norm = append(w.norm, c|0x20)
	}
	return end
}

// ascii reads one other character of ASCII.
func (w *words) ascii(text []byte, i int, c byte) {
	switch {
	case '0' <= c && c <= '9':
		w.begin(i)
		w.digits = true
		w.norm = append(w.norm, c)
	case c == '\'' && w.open && i+1 < len(text) && isLetter(text[i+1]): // don't is one word
	case (c == '@' || c == '$' || c == '!' || c == '|') && w.open && i+1 < len(text) && isLetter(text[i+1]) && !addressFollows(text[i+1:]):
		w.digits = true
		w.norm = append(w.norm, c)
	default:
		w.close(i)
		if stops[c] != 0 {
			w.punctuation(text, i, c)
		}
	}
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// addressFollows reports whether what comes after an @ is the domain of an address.
func addressFollows(rest []byte) bool {
	for i, c := range rest {
		switch {
		case c == '.' && i+1 < len(rest) && isLetter(rest[i+1]):
			return true
		case !isLetter(c) && c != '-' && (c < '0' || c > '9') || i > 63:
			return false
		}
	}
	return false
}

func (w *words) begin(i int) {
	if !w.open {
		w.open, w.scripts, w.digits, w.letters = true, 0, false, 0
		w.list = append(w.list, word{from: int32(len(w.norm)), start: int32(i), opens: w.stopped || len(w.list) == 0})
		w.stopped = false
	}
}

func (w *words) letter(i int, s scripts) {
	w.begin(i)
	w.scripts |= s
	w.letters++
}

// rune reads one character beyond ASCII, of n bytes at i.
func (w *words) rune(i, n int, r rune) {
	switch {
	case r == utf8.RuneError && n == 1:
		w.close(i)
	case stopOf(r) != 0:
		w.close(i)
		w.end(stopOf(r))
	case 0xE0020 <= r && r <= 0xE007E: // tag characters spell ASCII
		w.tags = append(w.tags, byte(r-0xE0000))
	case r == 0x1F3F4:
		w.flag = len(w.tags) + 1
		w.close(i)
	case r == 0xE0001 || r == 0xE007F:
		w.endFlag()
	case 0xFE00 <= r && r <= 0xFE0F:
		w.selector(i, n, byte(r-0xFE00))
	case 0xE0100 <= r && r <= 0xE01EF:
		w.selector(i, n, byte(r-0xE0100+16))
	case isInvisible(r) && without&aspectNoGlyph == 0:
		if w.open && w.scripts == latin {
			w.signals.zeroWidth++
		}
	case isBidi(r):
		w.signals.bidi++
	case unicode.Is(unicode.Mn, r) && r < 0x370: // accents that stand alone
	case alone(r):
		w.close(i)
		w.letter(i, foreign)
		w.norm = utf8.AppendRune(w.norm, r)
		w.close(i + n)
	default:
		w.fold(i, r)
	}
}

// endFlag takes the name of a region away that tag characters spell behind a flag
// (Unicode Technical Standard 51, annex C).
func (w *words) endFlag() {
	if w.flag == 0 {
		return
	}
	name := string(w.tags[w.flag-1:])
	if name == "gbeng" || name == "gbsct" || name == "gbwls" || len(name) == 4 && name[:2] == "us" {
		w.tags = w.tags[:w.flag-1]
	}
	w.flag = 0
}

// selector collects a variation selector. One after a character is how emoji are
// written; a run of them carries bytes that nobody sees.
func (w *words) selector(i, n int, b byte) {
	if i != w.lastVS {
		w.endSelectors()
	}
	w.runVS, w.lastVS = append(w.runVS, b), i+n
}

// minSelectors is the shortest run of variation selectors that is a message.
const minSelectors = 4

func (w *words) endSelectors() {
	if len(w.runVS) >= minSelectors {
		w.selectors = append(w.selectors, w.runVS...)
	}
	w.runVS = w.runVS[:0]
}

// isInvisible: no glyph and no meaning inside of a Latin word.
func isInvisible(r rune) bool {
	switch {
	case 0x200B <= r && r <= 0x200D, 0x2060 <= r && r <= 0x2064, r == 0xFEFF, r == 0xAD, r == 0x180E, r == 0x34F,
		r == 0x115F, r == 0x1160, r == 0x3164, r == 0xFFA0, r == 0x17B4, r == 0x17B5, 0x206A <= r && r <= 0x206F,
		0xFFF9 <= r && r <= 0xFFFB, 0x1D173 <= r && r <= 0x1D17A, r == 0x2065, 0xE0000 <= r && r <= 0xE001F, 0xE0080 <= r && r <= 0xE00FF, 0xE01F0 <= r && r <= 0xE0FFF:
		return true
	}
	return false
}

func isBidi(r rune) bool {
	return r == 0x200E || r == 0x200F || r == 0x61C || 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069
}

// alone: scripts that put no space between words.
func alone(r rune) bool {
	switch {
	case r < 0xE00:
		return false
	case r < 0x1000: // Thai, Lao
		return r <= 0xEFF && (unicode.IsLetter(r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Mc, r))
	case 0x1000 <= r && r <= 0x109F, 0x1780 <= r && r <= 0x17D3: // Myanmar, Khmer
		return unicode.IsLetter(r)
	case 0x3041 <= r && r <= 0x30FF, 0x3400 <= r && r <= 0x4DBF, 0x4E00 <= r && r <= 0x9FFF, 0x20000 <= r && r <= 0x3FFFF:
		return true
	}
	return false
}

// fold adds a letter in its plain form, or ends the word.
func (w *words) fold(i int, r rune) {
	if base := latinBase(r); base != "" {
		w.letter(i, latin)
		w.norm = append(w.norm, base...)
		return
	}
	switch {
	case 0x400 <= r && r <= 0x52F:
		w.letter(i, cyrillic)
		w.norm = utf8.AppendRune(w.norm, unicode.ToLower(r))
	case 0x370 <= r && r <= 0x3FF && unicode.IsLetter(r), 0x1F00 <= r && r <= 0x1FFF && unicode.IsLetter(r):
		w.letter(i, greek)
		w.norm = utf8.AppendRune(w.norm, greekBase(r))
	case 0xAC00 <= r && r <= 0xD7A3: // Hangul
		w.letter(i, foreign)
		w.norm = utf8.AppendRune(w.norm, r)
	case r == 0x2019 && w.open: // don’t is one word
	case 0x2010 <= r && r <= 0x205E, 0x3000 <= r && r <= 0x3004, 0xFF01 <= r && r <= 0xFF0F:
		w.close(i)
	case styledLetter(r) != 0 && without&aspectStyles == 0:
		w.signals.styled++
		w.letter(i, latin)
		w.norm = append(w.norm, styledLetter(r))
	case r >= 0x2000 && without&aspectStyles == 0 && !norm.NFKC.IsNormalString(string(r)):
		w.compatible(i, r)
	case unicode.IsLetter(r) || unicode.Is(unicode.M, r):
		w.letter(i, foreign)
		w.norm = utf8.AppendRune(w.norm, unicode.ToLower(r))
	case unicode.IsDigit(r):
		w.begin(i)
		w.norm = utf8.AppendRune(w.norm, r)
	default:
		w.close(i)
	}
}

// compatible adds what a character stands for by NFKC: full width, mathematical
// and enclosed letters, ligatures.
func (w *words) compatible(i int, r rune) {
	for _, p := range norm.NFKC.String(string(r)) {
		switch base := latinBase(p); {
		case p < utf8.RuneSelf && (isLetter(byte(p)) || '0' <= p && p <= '9'):
			w.signals.styled++
			w.letter(i, latin)
			w.norm = append(w.norm, byte(unicode.ToLower(p)))
		case base != "":
			w.letter(i, latin)
			w.norm = append(w.norm, base...)
		case unicode.IsLetter(p):
			w.letter(i, foreign)
			w.norm = utf8.AppendRune(w.norm, unicode.ToLower(p))
		default:
			w.close(i)
		}
	}
}

// close ends the word that is open, at byte i.
func (w *words) close(i int) {
	if !w.open {
		return
	}
	w.open = false
	last := &w.list[len(w.list)-1]
	switch {
	case w.scripts&latin != 0 && w.scripts&(cyrillic|greek) != 0:
		w.signals.mixed++
		w.imitated(last)
	case w.scripts&(cyrillic|greek) != 0 && w.latin > 4*w.other+4 && imitates(w.norm[last.from:]):
		w.signals.mixed++
		w.imitated(last)
	case w.scripts&(cyrillic|greek) != 0:
		w.other++
	case w.scripts&latin != 0:
		w.latin++
	}
	if w.digits && w.letters >= 2 && without&aspectDigits == 0 {
		w.leet(last)
	}
	const longest = 256 // bytes: a longer word is no word, and its head tells enough
	if len(w.norm)-int(last.from) > longest {
		w.norm = w.norm[:int(last.from)+longest]
	}
	last.to, last.end = int32(len(w.norm)), int32(i)
	if last.to == last.from {
		w.list = w.list[:len(w.list)-1]
	}
}

// imitated replaces letters that look like Latin ones by these.
func (w *words) imitated(at *word) {
	if without&aspectLookalike != 0 {
		return
	}
	from := w.norm[at.from:]
	out := make([]byte, 0, len(from))
	for _, r := range string(from) {
		if c, ok := lookalikes[r]; ok {
			out = append(out, c)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	w.norm = append(w.norm[:at.from], out...)
}

// imitates reports whether every letter looks like a Latin one.
func imitates(word []byte) bool {
	for _, r := range string(word) {
		if _, ok := lookalikes[r]; !ok && r >= utf8.RuneSelf {
			return false
		}
	}
	return len(word) > 2
}

// leet reads digits and signs between letters as the letters that they look like,
// unless the digits only stand at an end, as in "mp3".
func (w *words) leet(at *word) {
	form := w.norm[at.from:]
	inner := false
	for i := 1; i+1 < len(form); i++ {
		inner = inner || leetLetters[form[i]] != 0 && isLetter(form[i+1])
	}
	if !inner && leetLetters[form[0]] == 0 || len(form) > 20 {
		return
	}
	for i, c := range form {
		if l := leetLetters[c]; l != 0 {
			form[i] = l
		}
	}
	w.signals.leet++
}

// leetEverywhere reads digits at the ends of words as letters too, in a text that
// has them inside of several.
func (w *words) leetEverywhere() {
	if w.signals.leet < 3 {
		return
	}
	for i := range w.list {
		form := w.at(i)
		letters, digits := 0, 0
		for _, c := range form {
			if isLetter(c) {
				letters++
			} else if leetLetters[c] != 0 {
				digits++
			}
		}
		if letters == 0 || digits == 0 || len(form) > 20 {
			continue
		}
		for k, c := range form {
			if l := leetLetters[c]; l != 0 {
				form[k] = l
			}
		}
	}
}

var leetLetters = [256]byte{'0': 'o', '1': 'i', '3': 'e', '4': 'a', '5': 's', '7': 't', '8': 'b', '@': 'a', '$': 's', '!': 'i', '|': 'l'}

// minSpaced is how many letters that stand alone make a word written letter by
// letter.
const minSpaced = 4

// joinSpaced puts words together that were written letter by letter: "i g n o r e"
// or "i.g.n.o.r.e". A gap of another width ends such a word.
func (w *words) joinSpaced(least int) {
	to := 0
	for i := 0; i < len(w.list); {
		j := i + 1
		if w.single(i) {
			gap := int32(-1)
			for j < len(w.list) && w.single(j) {
				g := w.list[j].start - w.list[j-1].end
				if g > 5 || gap >= 0 && g != gap {
					break
				}
				gap = g
				j++
			}
		}
		if j-i < least {
			w.list[to] = w.list[i]
			to++
			i++
			continue
		}
		w.signals.spaced++
		joined := word{from: int32(len(w.norm)), start: w.list[i].start, end: w.list[j-1].end, opens: w.list[i].opens, stop: w.list[j-1].stop}
		for k := i; k < j; k++ {
			w.norm = append(w.norm, w.at(k)...)
		}
		joined.to = int32(len(w.norm))
		w.list[to] = joined
		to++
		i = j
	}
	w.list = w.list[:to]
}

// single reports whether word i is one letter of an alphabet.
func (w *words) single(i int) bool {
	l := w.list[i]
	switch l.to - l.from {
	case 1:
		return isLetter(w.norm[l.from])
	case 2:
		return w.norm[l.from] >= 0xC0 // Cyrillic, Greek, Hebrew, Arabic
	}
	return false
}

// splitRuns takes words apart that were written without spaces, or with characters
// between that have no width: "ignoreallprevious".
func (w *words) splitRuns() {
	const longest = 16 // letters of a usual word
	runs := false
	for i := range w.list {
		runs = runs || w.list[i].to-w.list[i].from > longest
	}
	if !runs {
		return
	}
	w.split = w.split[:0]
	for _, x := range w.list {
		if x.to-x.from <= longest || !w.cut(x) {
			w.split = append(w.split, x)
		}
	}
	w.list, w.split = w.split, w.list
}

// cut appends the words that a run is made of; false when it is not made of words
// that we know.
func (w *words) cut(x word) bool {
	form := w.norm[x.from:x.to]
	for _, c := range form {
		if !isLetter(c) {
			return false // an identifier, or something encoded
		}
	}
	from, known := len(w.split), 0
	for i := 0; i < len(form); {
		n := usualWords().longest(form[i:])
		if n == 0 { // a piece that is no usual word, up to the next one
			for n = 1; i+n < len(form) && usualWords().longest(form[i+n:]) < 3; n++ {
			}
		} else {
			known += n
		}
		part := word{from: x.from + int32(i), to: x.from + int32(i+n), start: x.start, end: x.end, opens: x.opens && i == 0}
		if i+n == len(form) {
			part.stop = x.stop
		}
		w.split = append(w.split, part)
		i += n
	}
	if parts := len(w.split) - from; parts < 3 || known*10 < len(form)*7 {
		w.split = w.split[:from]
		return false
	}
	w.signals.spaced++
	return true
}
