package imapd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A needle is a string that SEARCH looks for. RFC 9051, section 6.4.4, leaves to the server how strings compare as long
// as it does not tell capitals from small letters; RFC 5051 (i;unicode-casemap) says how to do that beyond ASCII, and
// this is it: each character is decomposed (NFKD) and its case removed, in the needle and in the text, and then bytes
// are compared. So "CAFE" finds "café", whole or in pieces, and "Straße" is found by "STRASSE" no more than by RFC 5051.
//
// Text is what a reader would see: UTF-8, with transfer encodings and encoded words already removed. A byte that is not
// UTF-8 stands for itself. A needle may be used by many goroutines; a finder by one.
type needle struct {
	folded []byte
	rare   int // place of the byte in it that texts have least often
}

// newNeedle folds the string to look for.
func newNeedle(s string) needle {
	var f finder
	folded, _ := f.fold(nil, []byte(s), true)
	return needle{folded: folded, rare: rarest(folded)}
}

// often are the bytes of folded text from the most frequent on, about as they are in English. What is not among them is
// rarer still.
const often = " etaoinshrdlucmfwygpb.v,k01234567-:/\"x@89jqz"

// rarest finds the byte that texts have least often.
func rarest(folded []byte) (at int) {
	least := -1
	for i, c := range folded {
		rank := strings.IndexByte(often, c)
		if rank < 0 {
			return i
		}
		if rank > least {
			at, least = i, rank
		}
	}
	return at
}

// inASCII looks for the needle in text that has no byte beyond ASCII, without folding it: only where its rarest byte is.
// It is not sure where that is so often, or so much of the needle is there in vain, that folding costs less.
func (n *needle) inASCII(text []byte) (found, sure bool) {
	small := n.folded[n.rare]
	capital := upper(small)
	next := func(c byte, from int) int {
		if i := bytes.IndexByte(text[from:], c); i >= 0 {
			return from + i
		}
		return len(text)
	}
	last := len(text) - (len(n.folded) - n.rare) // where its rarest byte can be at the latest
	if last < n.rare {
		return false, true
	}
	s, c, effort := next(small, n.rare), len(text), len(text)/4
	if capital != small {
		c = next(capital, n.rare)
	}
	for at := min(s, c); at <= last; at = min(s, c) {
		same := prefixFolded(text[at-n.rare:], n.folded)
		if same == len(n.folded) {
			return true, true
		}
		if effort -= 4 + same; effort < 0 {
			return false, false
		}
		if at == s {
			s = next(small, at+1)
		} else {
			c = next(capital, at+1)
		}
	}
	return false, true
}

// prefixFolded counts the bytes with which text begins as the folded needle does.
func prefixFolded(text, folded []byte) int {
	for i, c := range folded {
		if lower(text[i]) != c {
			return i
		}
	}
	return len(folded)
}

func upper(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - ('a' - 'A')
	}
	return b
}

// A finder holds the buffers with which needles are looked for, at most a quarter of a megabyte. The zero value is ready;
// it is worth keeping for the next text.
type finder struct {
	hay   []byte // folded text
	raw   []byte // text from a reader
	cache [256]foldedRune
}

// A foldedRune remembers what a character beyond ASCII becomes.
type foldedRune struct {
	r    rune
	n    uint8
	text [11]byte
}

// block is how much text is folded at a time: enough to make light of the ends, and at home in the nearest cache.
const block = 16 << 10

// in says whether text contains the needle. An empty needle is in every text.
func (f *finder) in(text []byte, n needle) bool {
	if len(n.folded) == 0 {
		return true
	}
	if isASCII(text) {
		if found, sure := n.inASCII(text); sure {
			return found
		}
	}
	f.hay = f.hay[:0]
	for len(text) > 0 {
		piece := text[:min(block, len(text))]
		used, found := f.step(piece, n, len(piece) == len(text))
		if found {
			return true
		}
		text = text[used:]
	}
	return false
}

// inReader says whether what r gives contains the needle. It reads no further than it must.
func (f *finder) inReader(r io.Reader, n needle) (bool, error) {
	if len(n.folded) == 0 {
		return true, nil
	}
	if f.raw == nil {
		f.raw = make([]byte, block)
	}
	f.hay = f.hay[:0]
	left := 0 // bytes at the start of raw that are not a whole character yet
	for {
		k, err := r.Read(f.raw[left:])
		final := errors.Is(err, io.EOF)
		if err != nil && !final {
			return false, err
		}
		piece := f.raw[:left+k]
		used, found := f.step(piece, n, final)
		if found || final {
			return found, nil
		}
		left = copy(f.raw, piece[used:])
	}
}

// step folds a piece of text behind what is left of the last one, and looks.
func (f *finder) step(piece []byte, n needle, final bool) (used int, found bool) {
	f.hay, used = f.fold(f.hay, piece, final)
	if bytes.Contains(f.hay, n.folded) {
		return used, true
	}
	// What is found next may have begun here.
	keep := min(len(n.folded)-1, len(f.hay))
	f.hay = f.hay[:copy(f.hay, f.hay[len(f.hay)-keep:])]
	return used, false
}

// isASCII reports whether no byte is beyond ASCII.
func isASCII(text []byte) bool {
	const highs = 0x8080808080808080
	for ; len(text) >= 8; text = text[8:] {
		if binary.LittleEndian.Uint64(text)&highs != 0 {
			return false
		}
	}
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold appends the folded text to dst. Unless it is the final piece, a character that is cut short at its end is left:
// used says how much was taken.
func (f *finder) fold(dst, text []byte, final bool) (_ []byte, used int) {
	for used < len(text) {
		if text[used] < utf8.RuneSelf {
			var n int
			dst, n = foldASCII(dst, text[used:])
			used += n
			continue
		}
		rest := text[used:]
		if !final && !utf8.FullRune(rest) {
			break
		}
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, rest[0])
		} else {
			dst = f.appendRune(dst, r, rest[:size])
		}
		used += size
	}
	return dst, used
}

// foldASCII appends text up to the first byte beyond ASCII with capitals made small, eight bytes at a time.
func foldASCII(dst, text []byte) (_ []byte, n int) {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	start := len(dst)
	dst = slices.Grow(dst, len(text))
	out := dst[start : start+len(text)]
	for ; n+8 <= len(text); n += 8 {
		x := binary.LittleEndian.Uint64(text[n:])
		if high := x & highs; high != 0 {
			// The bytes before the first high one are ASCII all the same.
			k := bits.TrailingZeros64(high) / 8
			for i := range k {
				out[n+i] = lower(text[n+i])
			}
			return dst[:start+n+k], n + k
		}
		// The high bit of each sum is set where the byte is at least 'A', or above 'Z': no carry leaves a byte.
		capital := (x + (0x80-'A')*ones) &^ (x + (0x7f-'Z')*ones) & highs
		binary.LittleEndian.PutUint64(out[n:], x|capital>>2)
	}
	for ; n < len(text) && text[n] < utf8.RuneSelf; n++ {
		out[n] = lower(text[n])
	}
	return dst[:start+n], n
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + ('a' - 'A')
	}
	return b
}

// appendRune appends the folded form of one character beyond ASCII.
func (f *finder) appendRune(dst []byte, r rune, raw []byte) []byte {
	if 0x4e00 <= r && r <= 0x9fff {
		return append(dst, raw...) // the ideographs have no case and do not decompose
	}
	c := &f.cache[uint32(r)%uint32(len(f.cache))]
	if c.n > 0 && c.r == r {
		return append(dst, c.text[:c.n]...)
	}
	start := len(dst)
	for _, d := range string(norm.NFKD.Append(nil, raw...)) {
		if d = unicode.ToTitle(d); d < utf8.RuneSelf {
			dst = append(dst, lower(byte(d)))
			continue
		}
		dst = utf8.AppendRune(dst, d)
	}
	if n := len(dst) - start; n <= len(c.text) {
		c.r, c.n = r, uint8(n)
		copy(c.text[:], dst[start:])
	}
	return dst
}
