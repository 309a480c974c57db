package message

import (
	"bytes"
	"reflect"
	"testing"
)

// TestStoredSize holds the stored form of a usual message under 600 bytes.
func TestStoredSize(t *testing.T) {
	if n := len(parse(simple4K()).AppendBinary(nil)); n > 600 {
		t.Errorf("simple message: %d bytes", n)
	}
	if n := len(parse(alternative4K()).AppendBinary(nil)); n > 700 {
		t.Errorf("multipart/alternative: %d bytes", n)
	}
}

// TestDecodeStructureIsStrict: every shorter form is refused, and so is
// anything behind the end.
func TestDecodeStructureIsStrict(t *testing.T) {
	for name, raw := range cases(t) {
		b := parse(raw).AppendBinary(nil)
		for n := range b {
			if _, err := DecodeStructure(b[:n]); err != ErrStructure {
				t.Fatalf("%s: %d of %d bytes: %v", name, n, len(b), err)
			}
		}
		if _, err := DecodeStructure(append(b, 0)); err != ErrStructure {
			t.Errorf("%s: a byte more: %v", name, err)
		}
		b[0]++
		if _, err := DecodeStructure(b); err != ErrStructure {
			t.Errorf("%s: another version: %v", name, err)
		}
	}
}

// TestDecodeStructureDamaged: a changed byte is refused or gives a sound structure.
func TestDecodeStructureDamaged(t *testing.T) {
	for name, raw := range cases(t) {
		stored := parse(raw).AppendBinary(nil)
		for i := range stored {
			for _, x := range []byte{1, 2, 0x80, 0xff} {
				b := bytes.Clone(stored)
				b[i] ^= x
				s, err := DecodeStructure(b)
				if err != nil {
					continue
				}
				if again, err := DecodeStructure(s.AppendBinary(nil)); err != nil || !reflect.DeepEqual(s, again) {
					t.Fatalf("%s: byte %d: %v", name, i, err)
				}
				parts := 0
				checkSpans(t, &s.Root, Span{0, s.Size}, 0, &parts)
			}
		}
	}
}

// TestAtoms: a text that is stored as a number has one number.
func TestAtoms(t *testing.T) {
	if len(atomNumbers) != len(atoms) {
		t.Errorf("%d numbers for %d atoms", len(atomNumbers), len(atoms))
	}
}

// TestStoredForm holds the stored bytes: they are in databases.
func TestStoredForm(t *testing.T) {
	raw := cases(t)["content-type-mess"]
	golden(t, "testdata/structure-v1.golden", parse(raw).AppendBinary(nil))
	o := Overlay{Prefix: []byte("Postern-Verdict: v=1\r\n"), Hidden: []Span{{10, 20}, {200, 1000}}}
	golden(t, "testdata/overlay-v1.golden", o.AppendBinary(nil))
}

func FuzzDecodeStructure(f *testing.F) {
	for _, raw := range cases(f) {
		f.Add(parse(raw).AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeStructure(b)
		if err != nil {
			return
		}
		again, err := DecodeStructure(s.AppendBinary(nil))
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%+v\n%+v\n%v", s, again, err)
		}
		parts := 0
		checkSpans(t, &s.Root, Span{0, s.Size}, 0, &parts)
		s.Overlaid(Overlay{Prefix: []byte("a: b\r\n")})
	})
}

func checkSpans(t *testing.T, p *Part, outer Span, depth int, parts *int) {
	*parts++
	if p.Header.Start < outer.Start || p.Header.End < p.Header.Start || p.Body.Start != p.Header.End ||
		p.Body.End < p.Body.Start || p.Body.End > outer.End || depth > MaxDepth {
		t.Fatalf("header %v, body %v, inside %v, depth %d", p.Header, p.Body, outer, depth)
	}
	for i := range p.Children {
		checkSpans(t, &p.Children[i], p.Body, depth+1, parts)
	}
	if p.Message != nil {
		checkSpans(t, &p.Message.Root, p.Body, depth+1, parts)
	}
}

func FuzzDecodeOverlay(f *testing.F) {
	f.Add(Overlay{Prefix: []byte("a: b\r\n"), Hidden: []Span{{1, 2}, {5, 9}}}.AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := DecodeOverlay(b)
		if err != nil {
			return
		}
		if again := o.AppendBinary(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x, was %x", again, b)
		}
		body := bytes.NewReader(make([]byte, 100))
		v := o.View(body, 100)
		if n, err := v.ReadAt(make([]byte, v.Size()), 0); int64(n) != v.Size() || err != nil {
			t.Fatalf("%d of %d, %v", n, v.Size(), err)
		}
	})
}
