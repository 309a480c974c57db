package submission

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"

	"postern/server/message"
)

// A message is looked through as it is on the wire and, where something in it is
// encoded, as its reader will see it: transfer encodings, character sets, encoded
// words, file names. Line ends and what mail programs put around them do not hide
// a token. What hides one on purpose (inside an archive, or spelled backwards) is
// not found here.

// searchMessage calls found for what looks like a token anywhere in a message:
// in its bytes, and in what they decode to.
func searchMessage(r io.ReaderAt, s *message.Structure, header []byte, found func(string) error) error {
	if err := searchTokens(io.NewSectionReader(r, 0, s.Size), found); err != nil {
		return err
	}
	if err := searchFields(header, found); err != nil {
		return err
	}
	return searchPart(r, &s.Root, found)
}

// searchPart looks through what is encoded in a part, and in the parts inside.
func searchPart(r io.ReaderAt, p *message.Part, found func(string) error) error {
	if err := searchText(p.Filename(), found); err != nil {
		return err
	}
	for i := range p.Children {
		if err := searchInner(r, &p.Children[i], found); err != nil {
			return err
		}
	}
	if p.Message != nil {
		return searchInner(r, &p.Message.Root, found)
	}
	if !encoded(p) {
		return nil
	}
	if p.Type == "text" {
		return searchTokens(message.TextReader(r, p), found)
	}
	return searchTokens(message.PartReader(r, p), found)
}

// searchInner looks through a part that has a header of its own.
func searchInner(r io.ReaderAt, p *message.Part, found func(string) error) error {
	header := make([]byte, min(max(p.Header.Len(), 0), message.MaxHeaderBytes))
	if _, err := r.ReadAt(header, p.Header.Start); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := searchFields(header, found); err != nil {
		return err
	}
	return searchPart(r, p, found)
}

// encoded reports whether a part's bytes differ from what its reader sees. Of
// character sets those that are not ASCII in their lower half matter here.
func encoded(p *message.Part) bool {
	if p.IsMultipart() {
		return false
	}
	if p.Encoding == "base64" || p.Encoding == "quoted-printable" {
		return true
	}
	charset := strings.ToLower(p.Param("charset"))
	return p.Type == "text" && (strings.HasPrefix(charset, "utf-16") || strings.HasPrefix(charset, "utf-32") || strings.HasPrefix(charset, "utf-7"))
}

// searchFields looks through encoded words.
func searchFields(header []byte, found func(string) error) error {
	if !bytes.Contains(header, []byte("=?")) {
		return nil
	}
	for f := range message.Fields(header) {
		if value := f.Value(); strings.Contains(value, "=?") {
			if err := searchText(message.DecodeWords(value), found); err != nil {
				return err
			}
		}
	}
	return nil
}

func searchText(text string, found func(string) error) error {
	return searchBytes([]byte(text), 0, len(text), found)
}

// The form of a token (package directory), seen from its first underscore.
const (
	tokenHead   = "pst"
	tokenLength = 38   // characters behind the prefix
	tokenSpan   = 1024 // bytes that a token takes at most, with the line ends in it
)

var tokenPrefixes = []string{tokenHead + "_live_", tokenHead + "_test_", tokenHead + "_session_"}

// searchWindow is how much is looked at together.
const searchWindow = 64 << 10

var searchWindows = sync.Pool{New: func() any { return new([searchWindow]byte) }}

// searchTokens calls found for every text of the form of a token, whatever line
// ends stand in it.
func searchTokens(r io.Reader, found func(string) error) error {
	window := searchWindows.Get().(*[searchWindow]byte)
	defer searchWindows.Put(window)
	have, seen := 0, 0 // bytes in the window, and how many of them were looked at
	for eof := false; !eof; {
		n, err := io.ReadFull(r, window[have:])
		if eof = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); err != nil && !eof {
			return err
		}
		b := window[:have+n]
		end := len(b)
		if !eof {
			end -= tokenSpan // what begins behind may not be all here
		}
		if err := searchBytes(b, seen, end, found); err != nil {
			return err
		}
		from := max(end-tokenSpan, 0) // a head may stand as far before its underscore
		have, seen = copy(window[:], b[from:]), end-from
	}
	return nil
}

// searchBytes looks for tokens whose first underscore is in b[from:to]. An
// underscore is rare in text and is found at the speed of memory: where there is
// none, nothing else is looked at.
func searchBytes(b []byte, from, to int, found func(string) error) error {
	for from < to {
		i := bytes.IndexByte(b[from:to], '_')
		if i < 0 {
			return nil
		}
		if token, ok := tokenAt(b, from+i); ok {
			if err := found(token); err != nil {
				return err
			}
		}
		from += i + 1
	}
	return nil
}

// tokenAt reads the token whose first underscore is b[at].
func tokenAt(b []byte, at int) (string, bool) {
	for i, j := len(tokenHead)-1, at-1; i >= 0; i, j = i-1, j-1 {
		for j >= 0 && between(b[j]) && at-j < tokenSpan {
			j--
		}
		if j < 0 || b[j] != tokenHead[i] {
			return "", false
		}
	}
	token := append(make([]byte, 0, 64), tokenHead...)
	length := 0 // of all of it, once its prefix is known
	for _, c := range b[at:min(len(b), at+tokenSpan)] {
		if between(c) {
			continue
		}
		token = append(token, c)
		switch {
		case length == 0:
			known, begins := prefixed(token)
			if !begins {
				return "", false
			}
			length = known
		case !alphanumeric(c):
			return "", false
		case len(token) == length:
			return string(token), true
		}
	}
	return "", false
}

// prefixed reports whether a token may begin so, and how long it is when that is
// the whole prefix.
func prefixed(token []byte) (length int, begins bool) {
	for _, p := range tokenPrefixes {
		if string(token) == p {
			return len(p) + tokenLength, true
		}
		begins = begins || strings.HasPrefix(p, string(token))
	}
	return 0, begins
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// between reports what mail programs put into the middle of a long word: line
// ends, indentation, and marks of a quotation.
func between(c byte) bool {
	return c == '\r' || c == '\n' || c == ' ' || c == '\t' || c == '>'
}
