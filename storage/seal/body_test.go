package seal

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// bodySizes are those at which something changes.
var bodySizes = []int{
	0, 1, 2, 100, 1023, 1024, 4096, smallBuffer - 1, smallBuffer, smallBuffer + 1,
	chunkSize - 1, chunkSize, chunkSize + 1, 2*chunkSize - 1, 2 * chunkSize, 2*chunkSize + 1, 5*chunkSize + 4321,
}

// readBody opens a body and reads all of it. Where reading fails it returns
// what was read before.
func readBody(sealed []byte, k Key, id Identity) ([]byte, error) {
	b, err := OpenBody(bytes.NewReader(sealed), int64(len(sealed)), k, id)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
}

func TestBodyReturnsWhatWasWritten(t *testing.T) {
	k, id := NewKey(), testIdentity()
	for _, n := range bodySizes {
		for kind, text := range map[string][]byte{"text": mailText(n), "noise": noise(n), "zeros": make([]byte, n)} {
			sealed := sealBody(t, text, k, id)
			b, err := OpenBody(bytes.NewReader(sealed), int64(len(sealed)), k, id)
			if err != nil {
				t.Fatalf("%s of %d bytes: %v", kind, n, err)
			}
			if b.Size() != int64(n) {
				t.Errorf("%s of %d bytes: Size is %d", kind, n, b.Size())
			}
			if err := iotest.TestReader(io.NewSectionReader(b, 0, b.Size()), text); err != nil {
				t.Errorf("%s of %d bytes: %v", kind, n, err)
			}
			var whole bytes.Buffer
			if m, err := b.WriteTo(&whole); err != nil || m != int64(n) || !bytes.Equal(whole.Bytes(), text) {
				t.Errorf("%s of %d bytes: WriteTo gives %d, %v", kind, n, m, err)
			}
			b.Close()
		}
	}
}

func TestBodyOverhead(t *testing.T) {
	for _, n := range bodySizes {
		chunks := (n + chunkSize - 1) / chunkSize
		want := n + BodyOverhead
		if chunks > 1 {
			want = n + headerSize + chunks*20 + 23
		}
		if got := len(sealBody(t, noise(n), NewKey(), testIdentity())); got != want {
			t.Errorf("%d bytes that do not compress are sealed to %d, want %d", n, got, want)
		}
	}
	if n := len(sealBody(t, make([]byte, 4096), NewKey(), testIdentity())); n > 100 {
		t.Errorf("4096 zeros are sealed to %d bytes: not compressed", n)
	}
}

// The sealed bytes depend on what is written, not on how it comes.
func TestBodyWriterTakesAnyPieces(t *testing.T) {
	k, id, text := NewKey(), testIdentity(), mailText(3*chunkSize+17)
	r := rand.New(rand.NewPCG(5, 6))
	for _, most := range []int{1, 2, 100, 5000, chunkSize, 2*chunkSize + 1, len(text)} {
		var out bytes.Buffer
		w := NewBodyWriter(&out, k, id)
		for rest := text; len(rest) > 0; {
			n := min(1+r.IntN(most), len(rest))
			if m, err := w.Write(rest[:n]); m != n || err != nil {
				t.Fatalf("Write of %d: %d, %v", n, m, err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if w.Size() != int64(len(text)) || w.SealedSize() != int64(out.Len()) {
			t.Errorf("Size %d of %d, SealedSize %d of %d", w.Size(), len(text), w.SealedSize(), out.Len())
		}
		if got, err := readBody(out.Bytes(), k, id); err != nil || !bytes.Equal(got, text) {
			t.Errorf("in pieces of at most %d: %v", most, err)
		}
	}
}

// The property of io.ReaderAt: a read at any place gives what lies there, and
// io.EOF when it wants more.
func TestBodyReadAtAnyPlace(t *testing.T) {
	k, id := NewKey(), testIdentity()
	r := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{0, 1, 5000, chunkSize, 4*chunkSize + 999} {
		text := mailText(n)
		sealed := sealBody(t, text, k, id)
		b, err := OpenBody(bytes.NewReader(sealed), int64(len(sealed)), k, id)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.NewReader(text)
		for range 500 {
			off := r.Int64N(int64(n) + 100)
			p, q := make([]byte, r.IntN(1+n/(1+r.IntN(8)))+r.IntN(50)), []byte(nil)
			q = make([]byte, len(p))
			got, err := b.ReadAt(p, off)
			m, wantErr := want.ReadAt(q, off)
			if len(p) == 0 {
				wantErr = nil // bytes.Reader answers EOF to an empty read at the end
			}
			if got != m || err != wantErr || !bytes.Equal(p[:got], q[:m]) {
				t.Fatalf("ReadAt of %d at %d of %d: %d, %v; want %d, %v", len(p), off, n, got, err, m, wantErr)
			}
		}
		if _, err := b.ReadAt(make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("ReadAt at -1: %v", err)
		}
		b.Close()
	}
}

// countingReader counts what is read from a sealed body.
type countingReader struct {
	r io.ReaderAt
	n int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// Reading on in small pieces opens each chunk once: every sealed byte is
// fetched exactly once.
func TestBodyReadInOrderOpensChunksOnce(t *testing.T) {
	for _, n := range []int{0, 4096, chunkSize, 5*chunkSize + 1} {
		k, id := NewKey(), testIdentity()
		sealed := sealBody(t, mailText(n), k, id)
		source := &countingReader{r: bytes.NewReader(sealed)}
		b, err := OpenBody(source, int64(len(sealed)), k, id)
		if err != nil {
			t.Fatal(err)
		}
		for off := int64(0); off < b.Size(); off += 1000 {
			if _, err := b.ReadAt(make([]byte, 1000), off); err != nil && err != io.EOF {
				t.Fatal(err)
			}
		}
		if source.n != int64(len(sealed)) {
			t.Errorf("%d bytes: %d sealed bytes fetched of %d", n, source.n, len(sealed))
		}
	}
}

// liveHeap is what the heap holds after a collection, in bytes.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A message of any size passes through memory that does not grow with it.
func TestBodyMemoryIsFlat(t *testing.T) {
	const size, bound = 16 << 20, 2 << 20
	k, id, piece := NewKey(), testIdentity(), noise(1<<20)
	var sealed bytes.Buffer
	sealed.Grow(size + size/8)
	zstdEncoder()
	zstdDecoder()
	before := liveHeap()
	w := NewBodyWriter(&sealed, k, id)
	for range size / len(piece) {
		w.Write(piece)
	}
	if n := liveHeap() - before; n > bound {
		t.Errorf("a writer holds %d bytes behind %d", n, size)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := OpenBody(bytes.NewReader(sealed.Bytes()), int64(sealed.Len()), k, id)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := b.WriteTo(io.Discard); n != size || err != nil {
		t.Fatalf("WriteTo: %d, %v", n, err)
	}
	if n := liveHeap() - before; n > bound {
		t.Errorf("a body holds %d bytes behind %d", n, size)
	}
	runtime.KeepAlive(w)
	b.Close()
	runtime.KeepAlive(&sealed)
}

func TestBodyRefusesAnotherIdentity(t *testing.T) {
	k := NewKey()
	for _, n := range []int{100, 2*chunkSize + 5} {
		sealed := sealBody(t, mailText(n), k, testIdentity())
		for name, id := range otherIdentities() {
			if _, err := readBody(sealed, k, id); !errors.Is(err, ErrOpen) {
				t.Errorf("%d bytes, %s: %v", n, name, err)
			}
		}
		if _, err := readBody(sealed, NewKey(), testIdentity()); !errors.Is(err, ErrOpen) {
			t.Errorf("%d bytes, another key: %v", n, err)
		}
	}
}

// Every bit and every length counts, in both forms.
func TestBodyRefusesEveryChange(t *testing.T) {
	k, id := NewKey(), testIdentity()
	for _, n := range []int{0, 40, 2*chunkSize + 40} {
		sealed := sealBody(t, make([]byte, n), k, id)
		for i := range len(sealed) * 8 {
			changed := bytes.Clone(sealed)
			changed[i/8] ^= 1 << (i % 8)
			if _, err := readBody(changed, k, id); !errors.Is(err, ErrOpen) {
				t.Fatalf("%d bytes, bit %d changed: %v", n, i, err)
			}
		}
		for m := range sealed {
			if _, err := readBody(sealed[:m], k, id); !errors.Is(err, ErrOpen) {
				t.Fatalf("%d bytes, cut to %d: %v", n, m, err)
			}
			if _, err := OpenBody(bytes.NewReader(sealed[:m]), int64(len(sealed)), k, id); !errors.Is(err, ErrOpen) {
				t.Fatalf("%d bytes, file ends at %d: %v", n, m, err)
			}
		}
		if _, err := readBody(append(bytes.Clone(sealed), 0), k, id); !errors.Is(err, ErrOpen) {
			t.Errorf("%d bytes, one more: %v", n, err)
		}
	}
	for _, size := range []int64{-1, 0, BodyOverhead - 1, maxSealedSize + 1, 1<<63 - 1} {
		if _, err := OpenBody(strings.NewReader(""), size, k, id); !errors.Is(err, ErrOpen) {
			t.Errorf("sealed size %d: %v", size, err)
		}
	}
}

// Also a holder of the key cannot make a reader take a chunk above 64 KiB: the
// table is refused, and a single chunk by the size of its body.
func TestBodyRefusesLargeChunks(t *testing.T) {
	k, id := NewKey(), testIdentity()
	large := append([]byte{packingRaw}, noise(chunkSize+1)...)
	chunks := [][]byte{large, {packingRaw, 'a'}}
	for name, sealed := range map[string][]byte{
		"single": forge(k, id, chunks[:1], nil),
		"first":  forge(k, id, chunks, tableOf(chunks, 1)),
	} {
		if _, err := OpenBody(bytes.NewReader(sealed), int64(len(sealed)), k, id); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A data key that serves two bodies by mistake betrays neither: their chunks
// are not sealed under the same nonce and key.
func TestBodyKeyUsedTwice(t *testing.T) {
	k, id := NewKey(), testIdentity()
	a, b := sealBody(t, make([]byte, 5), k, id), sealBody(t, make([]byte, 5), k, id)
	if bytes.Equal(a[headerSize:], b[headerSize:]) {
		t.Fatal("two bodies under one key have the same bytes")
	}
	if _, err := readBody(append(bytes.Clone(a[:headerSize]), b[headerSize:]...), k, id); !errors.Is(err, ErrOpen) {
		t.Errorf("the chunk of one body opens in the other: %v", err)
	}
}

// After a chunk that does not open, others still do, and it fails again.
func TestBodyGoesOnAfterABadChunk(t *testing.T) {
	k, id, text := NewKey(), testIdentity(), noise(3*chunkSize)
	sealed := sealBody(t, text, k, id)
	sealed[headerSize+chunkSize+chunkOverhead+100] ^= 1 // in the second chunk
	b, err := OpenBody(bytes.NewReader(sealed), int64(len(sealed)), k, id)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, len(text))
	for range 2 {
		if n, err := b.ReadAt(p, 0); n != chunkSize || !errors.Is(err, ErrOpen) {
			t.Errorf("ReadAt of all: %d, %v; want the first chunk and ErrOpen", n, err)
		}
		if n, err := b.ReadAt(p[:chunkSize], 2*chunkSize); n != chunkSize || err != nil || !bytes.Equal(p[:n], text[2*chunkSize:]) {
			t.Errorf("ReadAt of the third chunk: %d, %v", n, err)
		}
	}
	if n, err := b.WriteTo(io.Discard); n != chunkSize || !errors.Is(err, ErrOpen) {
		t.Errorf("WriteTo: %d, %v", n, err)
	}
}

var errDisk = errors.New("disk on fire")

// failingReader fails from an offset on.
type failingReader struct {
	r    io.ReaderAt
	from int64
}

func (f failingReader) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, errDisk
	}
	return f.r.ReadAt(p, off)
}

// An error of the disk is not taken for a forgery.
func TestBodyPassesReadErrorsOn(t *testing.T) {
	k, id := NewKey(), testIdentity()
	for _, n := range []int{100, 2 * chunkSize} {
		sealed := sealBody(t, noise(n), k, id)
		for _, from := range []int64{0, headerSize, int64(len(sealed)) - countSize, int64(len(sealed)) - 1} {
			_, err := OpenBody(failingReader{bytes.NewReader(sealed), from}, int64(len(sealed)), k, id)
			if !errors.Is(err, errDisk) || errors.Is(err, ErrOpen) {
				t.Errorf("%d bytes, failing from %d: %v", n, from, err)
			}
		}
	}
}

// failingWriter takes some bytes, then fails; with silent it keeps quiet.
type failingWriter struct {
	room   int
	silent bool
}

func (f *failingWriter) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	if n < len(p) && !f.silent {
		return n, errDisk
	}
	return n, nil
}

// Invariant 1: a body that is not wholly written is not reported as written.
func TestBodyWriterReportsFailures(t *testing.T) {
	text := noise(2*chunkSize + 10)
	whole := len(sealBody(t, text, NewKey(), testIdentity()))
	for _, room := range []int{0, 10, chunkSize, chunkSize + 100, whole - 50, whole - 1} {
		for _, silent := range []bool{false, true} {
			want := errDisk
			if silent {
				want = io.ErrShortWrite
			}
			w := NewBodyWriter(&failingWriter{room, silent}, NewKey(), testIdentity())
			w.Write(text[:2*chunkSize])
			w.Write(text[2*chunkSize:])
			for range 2 {
				if err := w.Close(); !errors.Is(err, want) {
					t.Errorf("room for %d: Close: %v, want %v", room, err, want)
				}
			}
		}
	}
}

func TestBodyWriterAfterAFailure(t *testing.T) {
	w := NewBodyWriter(&failingWriter{}, NewKey(), testIdentity())
	if n, err := w.Write(make([]byte, chunkSize+1)); n != chunkSize || !errors.Is(err, errDisk) {
		t.Errorf("Write: %d, %v", n, err)
	}
	if n, err := w.Write([]byte("more")); n != 0 || !errors.Is(err, errDisk) {
		t.Errorf("second Write: %d, %v", n, err)
	}
}

func TestBodyTooLarge(t *testing.T) {
	w := NewBodyWriter(io.Discard, NewKey(), testIdentity())
	w.size = MaxBodySize - 3 // as if so much had been written
	if n, err := w.Write([]byte("abc")); n != 3 || err != nil {
		t.Errorf("up to the limit: %d, %v", n, err)
	}
	if n, err := w.Write([]byte("d")); n != 0 || !errors.Is(err, ErrBodyTooLarge) {
		t.Errorf("beyond the limit: %d, %v", n, err)
	}
	if err := w.Close(); !errors.Is(err, ErrBodyTooLarge) {
		t.Errorf("Close: %v", err)
	}
}

func TestClosedBodies(t *testing.T) {
	k, id := NewKey(), testIdentity()
	var out bytes.Buffer
	w := NewBodyWriter(&out, k, id)
	w.Write([]byte("text"))
	w.Close()
	size := out.Len()
	if err := w.Close(); err != nil || out.Len() != size {
		t.Errorf("second Close of a writer: %v, %d bytes more", err, out.Len()-size)
	}
	if _, err := w.Write([]byte("more")); err == nil {
		t.Error("Write after Close goes on")
	}
	b, err := OpenBody(bytes.NewReader(out.Bytes()), int64(out.Len()), k, id)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	b.Close()
	if n, err := b.ReadAt(make([]byte, 4), 0); n != 0 || err == nil || errors.Is(err, ErrOpen) {
		t.Errorf("ReadAt after Close: %d, %v", n, err)
	}
	if _, err := b.WriteTo(io.Discard); err == nil {
		t.Error("WriteTo after Close goes on")
	}
}

// Buffers that went through the pool hold nothing of their last user.
func TestBuffersAreWiped(t *testing.T) {
	for _, n := range []int{10, smallBuffer + 1} {
		f := getBuffer(n)
		f.b = append(f.b, "the secret of another inbox"...)
		room := f.b[:len(f.b)]
		f.put()
		if !bytes.Equal(room, make([]byte, len(room))) {
			t.Errorf("a buffer for %d goes back with %q", n, room)
		}
	}
}
