package imapd

import (
	"bytes"
	"io"

	"github.com/emersion/go-imap/v2"

	"postern/server/message"
)

// errUnknownCTE: a part is in an encoding that the server cannot remove (RFC 9051, section 6.4.5.1).
var errUnknownCTE = no(imap.ResponseCodeUnknownCTE, "A part is in an encoding that this server does not know")

// decodable reports whether the transfer encoding of a part can be removed. That of a multipart means nothing.
func decodable(p *message.Part) bool {
	switch p.Encoding {
	case "", "7bit", "8bit", "binary", "base64", "quoted-printable":
		return true
	}
	return p.IsMultipart() || p.Message != nil
}

// smallPart is the largest part, in its encoding, that is decoded in memory. A larger one is decoded twice, once to
// know its size, which stands before it.
const smallPart = 64 << 10

// decoded opens a part without its encoding.
func (x *section) decoded(m *opened, part *message.Part) (io.Reader, int64, error) {
	if len(x.path) == 0 {
		size := m.structure.Size
		return io.NewSectionReader(m.view, 0, size), size, nil
	}
	if part.Body.Len() <= smallPart {
		b, err := io.ReadAll(message.PartReader(m.view, part))
		return bytes.NewReader(b), int64(len(b)), err
	}
	size, err := io.Copy(io.Discard, message.PartReader(m.view, part))
	return message.PartReader(m.view, part), size, err
}

// writeBinary writes BINARY[…]. A part that cannot be decoded is NIL, and the command is answered with UNKNOWN-CTE.
func (x *section) writeBinary(r *response, m *opened, part *message.Part) error {
	if len(x.path) > 0 && !decodable(part) {
		x.writeNil(r)
		return errUnknownCTE
	}
	src, size, err := x.decoded(m, part)
	if err != nil {
		return err
	}
	from, to := x.clip(size)
	if _, err := io.CopyN(io.Discard, src, from); err != nil {
		return err
	}
	return r.literal(string(x.name), "~", to-from, src) // literal8: it may have NUL
}

// writeSize writes BINARY.SIZE[…], which has no way to say that there is no such part but zero.
func (x *section) writeSize(r *response, m *opened, part *message.Part, ok bool) error {
	var size int64
	var err error
	unknown := ok && len(x.path) > 0 && !decodable(part)
	if ok && !unknown {
		_, size, err = x.decoded(m, part)
	}
	if err != nil {
		return err
	}
	r.number(string(x.name)+" ", size)
	if unknown {
		return errUnknownCTE
	}
	return nil
}
