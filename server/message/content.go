package message

import "io"

// PartReader reads the body of a part with its transfer encoding removed.
// Mistakes in the encoding are passed over, never an error: what can be
// decoded is. An encoding that we do not know, and that of a multipart, is
// taken as none. Output is never longer than the part's body.
func PartReader(view io.ReaderAt, p *Part) io.Reader {
	r := io.NewSectionReader(view, p.Body.Start, max(p.Body.Len(), 0))
	if p.IsMultipart() || p.Message != nil {
		return r
	}
	switch p.Encoding {
	case "base64":
		return &decodingReader{r: r, decode: new(base64Decoder).decode}
	case "quoted-printable":
		return &decodingReader{r: r, decode: new(quotedDecoder).decode}
	}
	return r
}

// TextReader reads the body of a part as UTF-8 text, by the part's charset
// (text/html as it is, tags included). Output is at most three times as long
// as the part's body.
func TextReader(view io.ReaderAt, p *Part) io.Reader {
	return charsetReader(joinedParam(p.Params, "charset"), PartReader(view, p))
}

// decodeChunk is how much a decodingReader reads at a time.
const decodeChunk = 4 << 10

// A decodingReader removes a transfer encoding.
type decodingReader struct {
	r io.Reader
	// decode appends what src decodes to; the decoder keeps what is incomplete
	// until the next call, or gives it up at the end.
	decode func(dst, src []byte, end bool) []byte
	in     [decodeChunk]byte
	out    []byte // decoded
	next   int    // not yet given, in out
	err    error
}

// Read implements io.Reader.
func (d *decodingReader) Read(p []byte) (int, error) {
	for d.next == len(d.out) {
		if d.err != nil {
			return 0, d.err
		}
		var n int
		n, d.err = d.r.Read(d.in[:])
		d.out, d.next = d.decode(d.out[:0], d.in[:n], d.err == io.EOF), 0
	}
	n := copy(p, d.out[d.next:])
	d.next += n
	return n, nil
}

// A base64Decoder skips what is not in the alphabet (RFC 2045, section 6.8).
// Padding ends a group, and another group may follow, as in bodies that were
// glued together.
type base64Decoder struct {
	group uint32 // of six bits each
	n     int
}

func (d *base64Decoder) decode(dst, src []byte, end bool) []byte {
	group, n := d.group, d.n
	for _, c := range src {
		v := base64Values[c]
		switch {
		case v < 64:
			group = group<<6 | uint32(v)
			if n++; n == 4 {
				dst = append(dst, byte(group>>16), byte(group>>8), byte(group))
				n = 0
			}
		case c == '=':
			dst = appendShortGroup(dst, group, n)
			n = 0
		}
	}
	if end {
		dst = appendShortGroup(dst, group, n)
		n = 0
	}
	d.group, d.n = group, n
	return dst
}

// appendShortGroup decodes a last group of n characters.
func appendShortGroup(dst []byte, group uint32, n int) []byte {
	switch n {
	case 2:
		dst = append(dst, byte(group>>4))
	case 3:
		dst = append(dst, byte(group>>10), byte(group>>2))
	}
	return dst
}

// base64Values are the six bits of each character; 0xff is not in the alphabet.
var base64Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
		t[c] = byte(i)
	}
	return t
}()

// A quotedDecoder removes quoted-printable (RFC 2045, section 6.7). An equals
// sign that starts neither an octet nor a soft line break stands for itself.
type quotedDecoder struct {
	state quotedState
	digit byte
}

type quotedState uint8

const (
	quotedText  quotedState = iota
	quotedEqual             // behind =
	quotedDigit             // behind = and a digit
	quotedSpace             // behind = and white space
	quotedCR                // behind = and CR
)

func (d *quotedDecoder) decode(dst, src []byte, end bool) []byte {
	for _, c := range src {
		if d.state == quotedText && c != '=' {
			dst = append(dst, c)
			continue
		}
		dst = d.step(dst, c)
	}
	if end {
		dst = d.giveUp(dst)
	}
	return dst
}

func (d *quotedDecoder) step(dst []byte, c byte) []byte {
	switch d.state {
	case quotedEqual:
		switch {
		case hexDigit(c) < 16:
			d.state, d.digit = quotedDigit, c
			return dst
		case isWSP(c):
			d.state = quotedSpace
			return dst
		}
		fallthrough
	case quotedSpace:
		switch {
		case c == '\n':
			d.state = quotedText
			return dst
		case c == '\r':
			d.state = quotedCR
			return dst
		case d.state == quotedSpace && isWSP(c):
			return dst
		}
	case quotedDigit:
		if b, ok := unhex(d.digit, c); ok {
			d.state = quotedText
			return append(dst, b)
		}
	case quotedCR:
		d.state = quotedText
		if c == '\n' {
			return dst
		}
	}
	dst = d.giveUp(dst)
	if c == '=' {
		d.state = quotedEqual
		return dst
	}
	return append(dst, c)
}

// giveUp writes what was held back for what it is.
func (d *quotedDecoder) giveUp(dst []byte) []byte {
	switch d.state {
	case quotedEqual:
		dst = append(dst, '=')
	case quotedDigit:
		dst = append(dst, '=', d.digit)
	case quotedSpace:
		dst = append(dst, '=', ' ') // one for any number: none is kept
	}
	d.state = quotedText
	return dst
}
