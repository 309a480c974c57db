package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errBodyClosed answers a read after Close.
var errBodyClosed = errors.New("seal: read of a closed body")

// Body reads a sealed body at any place. It opens one chunk of 64 KiB at a
// time and keeps the last one, so that reading on, in pieces of any size,
// opens each chunk once; memory does not grow with the body apart from eight
// bytes for each 64 KiB. It is for one goroutine.
type Body struct {
	r       io.ReaderAt
	stream  *stream
	offsets []int64 // of the sealed chunks, and of their end
	size    int64
	last    int // plaintext of the last chunk, in bytes
	single  bool
	closed  bool

	at    int     // number of the chunk that is open; -1: none
	buf   *buffer // what holds it
	plain []byte  // its plaintext, in buf
}

// OpenBody opens a body of sealedSize bytes that a BodyWriter sealed with the
// same key and identity. It reads and authenticates the sizes, and the whole
// of a body of up to 64 KiB; longer ones are authenticated chunk by chunk as
// they are read. Whatever is not the body that was sealed gives an error that
// is ErrOpen, here or where it is read; an error of r is passed on.
//
// Close gives the memory back early; a Body may also be left to the garbage
// collector.
func OpenBody(r io.ReaderAt, sealedSize int64, k Key, id Identity) (*Body, error) {
	if k.IsZero() || sealedSize < BodyOverhead || sealedSize > maxSealedSize {
		return nil, ErrOpen
	}
	var header [headerSize]byte
	if err := readFull(r, header[:], 0); err != nil {
		return nil, err
	}
	b := &Body{r: r, at: -1}
	b.stream = newStream(k, header[:], id.append(make([]byte, 0, identityRoom), kindBody))
	var err error
	switch header[0] {
	case formSingle:
		err = b.openSingle(sealedSize)
	case formChunked:
		err = b.openChunked(sealedSize)
	default:
		err = fmt.Errorf("body of the unknown form %d: %w", header[0], ErrOpen)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// openSingle opens the only chunk, whose plaintext says how long it is.
func (b *Body) openSingle(sealedSize int64) error {
	if sealedSize > BodyOverhead+chunkSize {
		return ErrOpen
	}
	b.single = true
	b.offsets = []int64{headerSize, sealedSize}
	if err := b.load(0); err != nil {
		return err
	}
	b.last = len(b.plain)
	b.size = int64(b.last)
	return nil
}

// openChunked opens the table of a body of several chunks.
func (b *Body) openChunked(sealedSize int64) error {
	var tail [countSize]byte
	if err := readFull(b.r, tail[:], sealedSize-countSize); err != nil {
		return err
	}
	count := int64(binary.BigEndian.Uint32(tail[:]))
	if count < 2 || count > maxChunks {
		return fmt.Errorf("body of %d chunks: %w", count, ErrOpen)
	}
	// Before memory is asked for: so many chunks and their table fit.
	end := sealedSize - countSize - int64(tableSize(int(count)))
	if end < headerSize+count*(chunkOverhead+1) {
		return fmt.Errorf("body too short for %d chunks: %w", count, ErrOpen)
	}
	sealed := getBuffer(tableSize(int(count)))
	defer sealed.put()
	sealed.b = sealed.b[:tableSize(int(count))]
	err := readFull(b.r, sealed.b, end)
	if err != nil {
		return err
	}
	b.offsets, b.last, err = b.stream.openTable(sealed.b, int(count), end)
	b.size = (count-1)*chunkSize + int64(b.last)
	return err
}

// readFull fills p from offset off. An end before that is a truncated body.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || err == io.EOF:
		return fmt.Errorf("body ends early: %w", ErrOpen)
	}
	return fmt.Errorf("seal: read body: %w", err)
}

// Size is the number of bytes of plaintext.
func (b *Body) Size() int64 { return b.size }

// load opens chunk i unless it is open.
func (b *Body) load(i int) error {
	if b.at == i {
		return nil
	}
	if b.closed {
		return errBodyClosed
	}
	b.release()
	sealed := getBuffer(int(b.offsets[i+1] - b.offsets[i]))
	sealed.b = sealed.b[:b.offsets[i+1]-b.offsets[i]]
	if err := readFull(b.r, sealed.b, b.offsets[i]); err != nil {
		sealed.put()
		return err
	}
	buf, plain, err := b.stream.openChunk(sealed, i, b.single)
	if err != nil {
		return fmt.Errorf("body chunk %d: %w", i, err)
	}
	b.buf, b.plain, b.at = buf, plain, i
	if !b.single && len(plain) != b.chunkLen(i) {
		b.release()
		return fmt.Errorf("body chunk %d has another length than the table says: %w", i, ErrOpen)
	}
	return nil
}

// chunkLen is the length that the plaintext of chunk i must have.
func (b *Body) chunkLen(i int) int {
	if i == len(b.offsets)-2 {
		return b.last
	}
	return chunkSize
}

// release gives the open chunk back.
func (b *Body) release() {
	if b.buf != nil {
		b.buf.put()
	}
	b.buf, b.plain, b.at = nil, nil, -1
}

// ReadAt reads plaintext as io.ReaderAt says: io.EOF where the body ends
// before p is full. At a chunk that does not open it stops with ErrOpen and
// the number of good bytes before it.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("seal: read at a negative offset")
	}
	n := 0
	for n < len(p) {
		if off >= b.size {
			return n, io.EOF
		}
		if err := b.load(int(off / chunkSize)); err != nil {
			return n, err
		}
		c := copy(p[n:], b.plain[off%chunkSize:])
		n, off = n+c, off+int64(c)
	}
	return n, nil
}

// WriteTo writes the whole plaintext to w, a chunk at a time, without copying
// it.
func (b *Body) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for written < b.size {
		if err := b.load(int(written / chunkSize)); err != nil {
			return written, err
		}
		n, err := w.Write(b.plain)
		written += int64(n)
		if err == nil && n < len(b.plain) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Close gives the memory of the body back. Reading after it fails; a second
// Close does nothing.
func (b *Body) Close() error {
	b.release()
	b.closed = true
	return nil
}
