package seal

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

// seeds adds the sealed bytes of the vectors.
func seeds(f *testing.F, add func(*vector)) {
	paths, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(paths) == 0 {
		f.Fatalf("%d vectors, %v", len(paths), err)
	}
	for _, path := range paths {
		if v := readVectorFile(f, path); len(v.sealed) < 4096 {
			add(v)
		}
	}
}

// FuzzOpen holds that bytes which were not sealed open to nothing, as a record
// and as a key, and that what is sealed opens.
func FuzzOpen(f *testing.F) {
	k, id := NewKey(), testIdentity()
	seeds(f, func(v *vector) { f.Add(v.sealed) })
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, err := k.Open(b, id); !errors.Is(err, ErrOpen) || text != nil {
			t.Errorf("Open: %q, %v", text, err)
		}
		if _, err := k.Unwrap(b, id); !errors.Is(err, ErrOpen) {
			t.Errorf("Unwrap: %v", err)
		}
		if text, err := k.Open(k.Seal(b, id), id); err != nil || !bytes.Equal(text, b) {
			t.Errorf("Open of what was sealed: %q, %v", text, err)
		}
	})
}

// FuzzOpenBody reads the input as sealed bytes, which nobody sealed, and as
// what a holder of the key might put into chunks and table: neither may do
// more than fail. Then the input is sealed as it should be.
func FuzzOpenBody(f *testing.F) {
	k, id := NewKey(), testIdentity()
	seeds(f, func(v *vector) { f.Add(v.sealed, []byte{0, 0, 18, 0, 0, 19, 0, 0, 1}) })
	for _, n := range []int{0, 1, 500, chunkSize} {
		frame := zstdEncoder().EncodeAll(make([]byte, n), []byte{packingZstd})
		f.Add(frame, tableOf([][]byte{frame, frame}, n))
	}
	f.Fuzz(func(t *testing.T, b, table []byte) {
		if _, err := readBody(b, k, id); !errors.Is(err, ErrOpen) {
			t.Errorf("bytes that nobody sealed: %v", err)
		}
		for _, forged := range [][]byte{
			forge(k, id, [][]byte{b}, nil),
			forge(k, id, [][]byte{b, b}, append([]byte{}, table...)),
			forge(k, id, [][]byte{b, b}, tableOf([][]byte{b, b}, len(b))),
		} {
			if text, err := readBody(forged, k, id); err != nil && !errors.Is(err, ErrOpen) || len(text) > 2*chunkSize {
				t.Errorf("forged body: %d bytes, %v", len(text), err)
			}
		}
		for _, text := range [][]byte{b, append(make([]byte, chunkSize), b...)} {
			if got, err := readBody(sealBody(t, text, k, id), k, id); err != nil || !bytes.Equal(got, text) {
				t.Errorf("a body of %d bytes: %v", len(text), err)
			}
		}
	})
}

// FuzzParseRootKey holds that a text is refused with a reason, or read as a key
// that writes an equal text.
func FuzzParseRootKey(f *testing.F) {
	f.Add(newRootKey(testKey()).text())
	f.Add([]byte("postern root key v1 rk-000000000000\n\nsum 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		root, err := ParseRootKey(b)
		if err != nil {
			if e := (*KeyFileError)(nil); !errors.As(err, &e) || e.Reason == "" {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		if again, err := ParseRootKey(root.text()); err != nil || again.ID() != root.ID() {
			t.Errorf("its own text gives %v", err)
		}
	})
}
