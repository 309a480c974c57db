package seal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrBodyTooLarge says that more than MaxBodySize bytes were written to a
// body.
var ErrBodyTooLarge = errors.New("seal: body exceeds 4 GiB")

// errWriterClosed answers a Write after Close.
var errWriterClosed = errors.New("seal: write to a closed body")

// BodyWriter seals a body as it is written, in memory that does not grow with
// it (apart from three bytes for each 64 KiB). It is for one goroutine.
//
// The body is complete only when Close has returned nil; what an abandoned
// writer left behind does not open.
type BodyWriter struct {
	w      io.Writer
	key    Key
	aad    []byte
	stream *stream // made when the first chunk leaves
	plain  *buffer // the chunk that is being filled
	out    *buffer // what goes to w next
	table  []byte  // lengths of the sealed chunks that left
	size   int64   // plaintext
	sealed int64   // written to w
	closed bool
	err    error // the first failure; nothing is written after it
}

// NewBodyWriter returns a writer that seals a body to w under the data key k
// as the value of id. Every body deserves a key of its own (NewKey), so that
// it can be handed on and erased by itself. A short body is written to w in
// one piece.
func NewBodyWriter(w io.Writer, k Key, id Identity) *BodyWriter {
	if k.IsZero() {
		panic("seal: zero Key")
	}
	return &BodyWriter{w: w, key: k, aad: id.append(make([]byte, 0, identityRoom), kindBody)}
}

// Size is the number of bytes of plaintext written so far.
func (b *BodyWriter) Size() int64 { return b.size }

// SealedSize is the number of sealed bytes given to the underlying writer so
// far; after Close, the size that OpenBody wants to know.
func (b *BodyWriter) SealedSize() int64 { return b.sealed }

// Write adds p to the body. It fails with ErrBodyTooLarge or the underlying
// writer's error, and then for good.
func (b *BodyWriter) Write(p []byte) (int, error) {
	if b.closed {
		return 0, errWriterClosed
	}
	if b.err == nil && int64(len(p)) > MaxBodySize-b.size {
		b.err = ErrBodyTooLarge
	}
	written := 0
	for len(p) > 0 && b.err == nil {
		if b.plain != nil && len(b.plain.b) == chunkSize {
			b.flush(formChunked)
			continue
		}
		n := b.fill(p)
		p, written = p[n:], written+n
	}
	b.size += int64(written)
	return written, b.err
}

// fill copies from p to the current chunk as much as fits into it.
func (b *BodyWriter) fill(p []byte) int {
	if b.plain == nil {
		b.plain = getBuffer(min(len(p), chunkSize))
	}
	n := min(len(p), chunkSize-len(b.plain.b))
	if len(b.plain.b)+n > cap(b.plain.b) {
		larger := getBuffer(chunkSize)
		larger.b = append(larger.b, b.plain.b...)
		b.plain.put()
		b.plain = larger
	}
	b.plain.b = append(b.plain.b, p[:n]...)
	return n
}

// flush seals the current chunk and writes it, the first one behind the
// header. The form is known by then: the first chunk of a body that goes on
// leaves only when another byte has come.
func (b *BodyWriter) flush(form byte) {
	var plain []byte
	if b.plain != nil {
		plain = b.plain.b
	}
	b.out = getBuffer(headerSize + chunkOverhead + zstdEncoder().MaxEncodedSize(len(plain)))
	if b.stream == nil {
		b.begin(form)
	}
	start := len(b.out.b)
	b.stream.appendChunk(b.out, plain, len(b.table)/lengthSize, form == formSingle)
	b.table = appendLength(b.table, len(b.out.b)-start)
	b.send()
	if b.plain != nil {
		clear(b.plain.b)
		b.plain.b = b.plain.b[:0]
	}
}

// begin draws the salt, puts the header out and makes the cipher.
func (b *BodyWriter) begin(form byte) {
	b.out.b = append(b.out.b, form)
	b.out.b = b.out.b[:headerSize]
	rand.Read(b.out.b[1:])
	b.stream = newStream(b.key, b.out.b, b.aad)
}

// send writes what is put out and gives its buffer back.
func (b *BodyWriter) send() {
	n, err := b.w.Write(b.out.b)
	b.sealed += int64(n)
	if err == nil && n < len(b.out.b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		b.err = fmt.Errorf("seal: write body: %w", err)
	}
	b.out.put()
	b.out = nil
}

// Close writes the rest of the body. It does not close the underlying writer.
// A second Close does nothing and returns what the first one returned.
func (b *BodyWriter) Close() error {
	if b.closed {
		return b.err
	}
	b.closed = true
	if b.err == nil && b.stream == nil {
		b.flush(formSingle)
	} else if b.err == nil {
		b.finish()
	}
	if b.plain != nil {
		b.plain.put()
		b.plain = nil
	}
	return b.err
}

// finish writes the last chunk and the table of a body of several chunks.
func (b *BodyWriter) finish() {
	last := len(b.plain.b)
	b.flush(formChunked)
	if b.err != nil {
		return
	}
	count := len(b.table) / lengthSize
	b.out = getBuffer(tableSize(count) + countSize)
	b.out.b = appendLength(append(b.out.b, b.table...), last)
	b.out.b = b.stream.aead.Seal(b.out.b[:0], b.stream.at(count, true), b.out.b, b.aad)
	b.out.b = binary.BigEndian.AppendUint32(b.out.b, uint32(count))
	b.send()
}
