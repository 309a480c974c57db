package relay

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
)

// errBareLine: RFC 5321, section 2.3.8 forbids CR and LF outside of CRLF. A
// receiver that reads a lone LF as a line end would see commands where we sent
// text (SMTP smuggling), so such a message does not leave.
var errBareLine = errors.New("bare CR or LF in the message")

// body writes a message as mail data: a dot in front of each line that begins
// with one (RFC 5321, section 4.5.2). It digests and counts what it is given.
type body struct {
	w      io.Writer
	digest hash.Hash
	n      int64
	inLine bool // the last octet did not end a line
	cr     bool // the last octet was CR
}

func newBody(w io.Writer) *body { return &body{w: w, digest: sha256.New()} }

// Write takes any piece of the message. Its error is errBareLine, or w's.
func (b *body) Write(p []byte) (int, error) {
	b.digest.Write(p)
	b.n += int64(len(p))
	written := len(p)
	for len(p) > 0 {
		piece := p
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			piece = p[:i+1]
		}
		p = p[len(piece):]
		if err := b.check(piece); err != nil {
			return 0, err
		}
		if !b.inLine && piece[0] == '.' {
			if _, err := b.w.Write([]byte{'.'}); err != nil {
				return 0, err
			}
		}
		if _, err := b.w.Write(piece); err != nil {
			return 0, err
		}
		last := piece[len(piece)-1]
		b.inLine, b.cr = last != '\n', last == '\r'
	}
	return written, nil
}

// check refuses a piece of a line, up to and with its LF if it has one, in
// which CR and LF stand apart.
func (b *body) check(piece []byte) error {
	if b.cr && piece[0] != '\n' {
		return errBareLine
	}
	i := bytes.IndexByte(piece, '\r')
	switch last := len(piece) - 1; {
	case piece[last] != '\n':
		if i >= 0 && i != last {
			return errBareLine
		}
	case last == 0:
		if !b.cr {
			return errBareLine
		}
	case i != last-1:
		return errBareLine
	}
	return nil
}

// finish completes the last line, if the message did not, and returns the final
// dot. The line end that it adds belongs to the protocol, not to the message.
func (b *body) finish() (end string, err error) {
	switch {
	case b.cr:
		return "", errBareLine
	case b.inLine:
		return "\r\n.\r\n", nil
	}
	return ".\r\n", nil
}

func (b *body) sum() (sum [32]byte) {
	b.digest.Sum(sum[:0])
	return sum
}
