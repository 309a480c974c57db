package injection

import (
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// latinBase is the letter of ASCII, or two, that a Latin letter with an accent or
// in another form stands for; empty for other characters.
func latinBase(r rune) string {
	switch {
	case 0xC0 <= r && r < 0x250:
		return latinBases()[r-0xC0]
	case 0x1E00 <= r && r < 0x1F00:
		return additionalBases()[r-0x1E00]
	}
	return ""
}

var (
	latinBases      = sync.OnceValue(func() []string { return bases(0xC0, 0x250) })
	additionalBases = sync.OnceValue(func() []string { return bases(0x1E00, 0x1F00) })
)

// bases decomposes a block of Latin letters.
func bases(from, to rune) []string {
	table := make([]string, to-from)
	for r := from; r < to; r++ {
		if s := plainForms[unicode.ToLower(r)]; s != "" {
			table[r-from] = s
			continue
		}
		first, _ := utf8.DecodeRuneInString(norm.NFKD.String(string(r)))
		if first < utf8.RuneSelf && isLetter(byte(first)) {
			table[r-from] = string(unicode.ToLower(first))
		}
	}
	return table
}

// plainForms of letters that do not decompose.
var plainForms = map[rune]string{'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'ı': "i",
	'ħ': "h", 'ŧ': "t", 'ŋ': "n", 'ə': "e", 'ɨ': "i", 'ƒ': "f", 'ƙ': "k", 'ɓ': "b", 'ɗ': "d"}

// greekBase takes case and accents away.
func greekBase(r rune) rune {
	first, _ := utf8.DecodeRuneInString(norm.NFKD.String(string(unicode.ToLower(r))))
	return first
}

// styledLetter is the Latin letter that a character shows without decomposing to
// it: small capitals, letters in squares and circles, flags.
func styledLetter(r rune) byte {
	switch {
	case 0x1F130 <= r && r <= 0x1F149: // squared
		return byte('a' + r - 0x1F130)
	case 0x1F150 <= r && r <= 0x1F169: // negative circled
		return byte('a' + r - 0x1F150)
	case 0x1F170 <= r && r <= 0x1F189: // negative squared
		return byte('a' + r - 0x1F170)
	case 0x1F1E6 <= r && r <= 0x1F1FF: // regional indicators
		return byte('a' + r - 0x1F1E6)
	}
	if 0x2800 < r && r <= 0x28FF {
		return brailleLetters[r-0x2800]
	}
	switch {
	case 0xFF21 <= r && r <= 0xFF3A: // full width
		return byte('a' + r - 0xFF21)
	case 0xFF41 <= r && r <= 0xFF5A:
		return byte('a' + r - 0xFF41)
	case 0x1D400 <= r && r < 0x1D800:
		return mathLetters()[r-0x1D400]
	}
	return smallCapitals[r]
}

// mathLetters are the letters of mathematical alphabets.
var mathLetters = sync.OnceValue(func() *[0x400]byte {
	t := new([0x400]byte)
	for i := range t {
		if s := norm.NFKC.String(string(rune(0x1D400 + i))); len(s) == 1 && isLetter(s[0]) {
			t[i] = s[0] | 0x20
		}
	}
	return t
})

// brailleLetters are letters by their dots.
var brailleLetters = func() (t [256]byte) {
	for i, dots := range []byte{0x01, 0x03, 0x09, 0x19, 0x11, 0x0B, 0x1B, 0x13, 0x0A, 0x1A, 0x05, 0x07, 0x0D, 0x1D, 0x15, 0x0F, 0x1F, 0x17, 0x0E, 0x1E, 0x25, 0x27, 0x3A, 0x2D, 0x3D, 0x35} {
		t[dots] = byte('a' + i)
	}
	return t
}()

var smallCapitals = map[rune]byte{'ᴀ': 'a', 'ʙ': 'b', 'ᴄ': 'c', 'ᴅ': 'd', 'ᴇ': 'e', 'ꜰ': 'f', 'ɢ': 'g', 'ʜ': 'h', 'ɪ': 'i', 'ᴊ': 'j', 'ᴋ': 'k',
	'ʟ': 'l', 'ᴍ': 'm', 'ɴ': 'n', 'ᴏ': 'o', 'ᴘ': 'p', 'ꞯ': 'q', 'ʀ': 'r', 'ꜱ': 's', 'ᴛ': 't', 'ᴜ': 'u', 'ᴠ': 'v', 'ᴡ': 'w', 'ʏ': 'y', 'ᴢ': 'z',
	'ɡ': 'g', 'ɑ': 'a', 'ʂ': 's', 'ɩ': 'i'}

// lookalikes are letters of other alphabets that are read as Latin ones.
var lookalikes = map[rune]byte{
	'а': 'a', 'в': 'b', 'с': 'c', 'ԁ': 'd', 'е': 'e', 'ё': 'e', 'ғ': 'f', 'ԍ': 'g', 'һ': 'h', 'н': 'h', 'і': 'i', 'ї': 'i', 'ј': 'j', 'к': 'k',
	'ӏ': 'l', 'м': 'm', 'п': 'n', 'о': 'o', 'р': 'p', 'ԛ': 'q', 'г': 'r', 'ѕ': 's', 'т': 't', 'у': 'y', 'ү': 'y', 'ѵ': 'v', 'ԝ': 'w', 'х': 'x', 'ь': 'b',
	'α': 'a', 'β': 'b', 'ϲ': 'c', 'ε': 'e', 'η': 'n', 'ι': 'i', 'ϳ': 'j', 'κ': 'k', 'μ': 'u', 'ν': 'v', 'ο': 'o', 'ρ': 'p', 'σ': 'o', 'τ': 't',
	'υ': 'u', 'χ': 'x', 'γ': 'y', 'ω': 'w', 'ζ': 'z',
}
