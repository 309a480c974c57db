package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// The format of a sealed body. Numbers are big endian.
//
//	single  = form(1)=1 salt(16) chunk
//	chunked = form(1)=2 salt(16) chunk{2,65536} table count(4)
//
//	chunk = AEAD(packing(1) data)            packing 0: data is the plaintext
//	                                         packing 1: data is a zstd frame
//	table = AEAD(sealed length(3){count} last plaintext length(3))
//
// The AEAD is AES-256-GCM under HKDF-Expand(key, label form salt), with the
// identity as associated data. The nonce is the counter of the segment in 11
// bytes and a byte that is 1 for the final segment alone: the only chunk of
// the single form, the table (its counter is count) of the chunked one.
//
// Every chunk but the last holds exactly chunkSize bytes of plaintext. A body
// of at most chunkSize bytes, also an empty one, has the single form.
const (
	chunkSize = 64 << 10

	formSingle  = 1
	formChunked = 2

	packingRaw  = 0
	packingZstd = 1

	saltSize   = 16
	headerSize = 1 + saltSize
	lengthSize = 3
	countSize  = 4

	// chunkOverhead is the packing byte and the tag.
	chunkOverhead = 1 + tagSize
	maxChunks     = 1 << 16
)

// MaxBodySize is the largest plaintext that a body can hold, in bytes: what
// IMAP can say about a message (RFC822.SIZE is a 32-bit number, RFC 3501,
// section 9).
const MaxBodySize = math.MaxUint32

// BodyOverhead is the most that sealing adds to a body of at most 64 KiB, in
// bytes. Longer ones add 20 for each 64 KiB and 23 at the end.
const BodyOverhead = headerSize + chunkOverhead

// maxSealedSize is the size of the largest sealed body.
const maxSealedSize = headerSize + MaxBodySize + maxChunks*(chunkOverhead+lengthSize) + lengthSize + tagSize + countSize

// stream is the STREAM construction under one body's key.
type stream struct {
	aead  cipher.AEAD
	aad   []byte
	nonce [nonceSize]byte
}

// newStream makes the cipher of one body. The header goes into the key, so
// that a changed form or salt opens nothing, and the salt gives each body a
// key of its own even where a data key was used twice: with counters for
// nonces, a second body under one key would betray both.
func newStream(k Key, header, aad []byte) *stream {
	secret := k.expand(labelBody+string(header), KeySize)
	defer clear(secret)
	aead, err := cipher.NewGCM(newAES(secret))
	if err != nil {
		panic(err) // only for a block size other than 16
	}
	return &stream{aead: aead, aad: aad}
}

// at sets the nonce of a segment.
func (s *stream) at(counter int, final bool) []byte {
	binary.BigEndian.PutUint64(s.nonce[3:], uint64(counter))
	s.nonce[nonceSize-1] = 0
	if final {
		s.nonce[nonceSize-1] = 1
	}
	return s.nonce[:]
}

// appendChunk seals a chunk of plaintext in place behind dst.b.
func (s *stream) appendChunk(dst *buffer, plain []byte, counter int, final bool) {
	start := len(dst.b)
	packed := zstdEncoder().EncodeAll(plain, append(dst.b, packingZstd))
	if len(packed)-start-1 >= len(plain) {
		packed = append(append(packed[:start], packingRaw), plain...)
	}
	dst.b = s.aead.Seal(packed[:start], s.at(counter, final), packed[start:], s.aad)
}

// openChunk opens a sealed chunk in place and returns a buffer and the
// plaintext that lies in it. It takes the given buffer over.
func (s *stream) openChunk(sealed *buffer, counter int, final bool) (*buffer, []byte, error) {
	packed, err := s.aead.Open(sealed.b[:0], s.at(counter, final), sealed.b, s.aad)
	if err != nil || len(packed) == 0 {
		sealed.put()
		return nil, nil, ErrOpen
	}
	if packed[0] == packingRaw { // the caller bounds its length
		return sealed, packed[1:], nil
	}
	defer sealed.put()
	if packed[0] != packingZstd {
		return nil, nil, ErrOpen
	}
	return unpack(packed[1:])
}

// decodeSlack is the room behind a plaintext, in bytes, with which the decoder
// need not watch the end of its output at each copy: it is a third faster.
const decodeSlack = 64

// unpack expands one zstd frame, which must name its size and keep to it.
func unpack(frame []byte) (*buffer, []byte, error) {
	var h zstd.Header
	if err := h.Decode(frame); err != nil || !h.HasFCS || h.FrameContentSize > chunkSize {
		return nil, nil, ErrOpen
	}
	size := int(h.FrameContentSize)
	out := getBuffer(size + decodeSlack)
	plain, err := zstdDecoder().DecodeAll(frame, out.b)
	if err != nil || len(plain) != size {
		out.put()
		return nil, nil, ErrOpen
	}
	out.b = plain
	return out, plain, nil
}

// The coders are shared: each runs on as many goroutines as there are
// processors and keeps its tables between calls. They are made at first use,
// since a start of the server that opens no body should not pay for them.
var (
	// zstdEncoder writes no checksum: the tag is one. A single segment names
	// the size of its content, also a small one.
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithWindowSize(chunkSize), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
		if err != nil {
			panic(err) // only for an option out of its range
		}
		return e
	})
	// zstdDecoder never makes more than a chunk of a frame, whatever it says.
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0),
			zstd.WithDecoderMaxMemory(chunkSize), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err) // only for an option out of its range
		}
		return d
	})
)

// tableSize is the size of the sealed table of count chunks, in bytes.
func tableSize(count int) int { return (count+1)*lengthSize + tagSize }

// appendLength adds a length of at most 2^24-1 to a table.
func appendLength(table []byte, n int) []byte {
	return append(table, byte(n>>16), byte(n>>8), byte(n))
}

// readLength takes the i-th length from a table.
func readLength(table []byte, i int) int {
	t := table[i*lengthSize:]
	return int(t[0])<<16 | int(t[1])<<8 | int(t[2])
}

// openTable opens a table in place and returns where each sealed chunk starts,
// where the last one ends, and the length of the last plaintext. The chunks
// must fill the space from the header to end exactly.
func (s *stream) openTable(sealed []byte, count int, end int64) (offsets []int64, last int, err error) {
	table, err := s.aead.Open(sealed[:0], s.at(count, true), sealed, s.aad)
	if err != nil {
		return nil, 0, fmt.Errorf("body table: %w", ErrOpen)
	}
	offsets = make([]int64, 0, count+1)
	next := int64(headerSize)
	for i := range count {
		n := readLength(table, i)
		if n <= chunkOverhead || n > chunkSize+chunkOverhead {
			return nil, 0, fmt.Errorf("body table, length of chunk %d: %w", i, ErrOpen)
		}
		offsets = append(offsets, next)
		next += int64(n)
	}
	last = readLength(table, count)
	if next != end || last == 0 || last > chunkSize {
		return nil, 0, fmt.Errorf("body table does not fit its body: %w", ErrOpen)
	}
	return append(offsets, end), last, nil
}
