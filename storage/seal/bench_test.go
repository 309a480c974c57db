package seal

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
)

// benchIdentity has fields of the sizes that the storage uses.
func benchIdentity() Identity {
	id := uuid.MustParse("0197a2c4-5d1e-7a00-8000-00000000002a")
	return Identity{Org: id, Table: "message", ID: append(id[:], 0, 0, 0, 1), Purpose: "envelope", Version: 3, Event: id}
}

// mailText is text that compresses about as mail does: words of a vocabulary
// by their rank, in lines, behind a header.
func mailText(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var text bytes.Buffer
	text.WriteString("From: a@example.com\r\nTo: b@example.com\r\nSubject: the words\r\n\r\n")
	for line := 0; text.Len() < n; line++ {
		rank := int(1000 * r.Float64() * r.Float64() * r.Float64())
		fmt.Fprintf(&text, "%x ", rank*2654435761%(16<<(rank%16)))
		if line%12 == 11 {
			text.WriteString("\r\n")
		}
	}
	return text.Bytes()[:n]
}

// noise is what does not compress.
func noise(n int) []byte {
	var seed [32]byte
	p := make([]byte, n)
	rand.NewChaCha8(seed).Read(p)
	return p
}

// sealBody seals text as a body.
func sealBody(tb testing.TB, text []byte, k Key, id Identity) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := NewBodyWriter(&out, k, id)
	if _, err := w.Write(text); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func BenchmarkSeal(b *testing.B) {
	k, id, text := NewKey(), benchIdentity(), mailText(200)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		k.Seal(text, id)
	}
}

func BenchmarkOpen(b *testing.B) {
	k, id, text := NewKey(), benchIdentity(), mailText(200)
	sealed := k.Seal(text, id)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(sealed, id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrap(b *testing.B) {
	k, inner, id := NewKey(), NewKey(), benchIdentity()
	b.ReportAllocs()
	for b.Loop() {
		k.Wrap(inner, id)
	}
}

func BenchmarkUnwrap(b *testing.B) {
	k, id := NewKey(), benchIdentity()
	wrapped := k.Wrap(NewKey(), id)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Unwrap(wrapped, id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	k, address := NewKey(), []byte("support@example.com")
	b.ReportAllocs()
	for b.Loop() {
		k.Hash("address", address)
	}
}

// BenchmarkBodyIn seals a body under a new key each, as a delivery does.
func BenchmarkBodyIn(b *testing.B) {
	for _, c := range bodyCases() {
		b.Run(c.name, func(b *testing.B) {
			id := benchIdentity()
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			var sealed int64
			for b.Loop() {
				w := NewBodyWriter(io.Discard, NewKey(), id)
				w.Write(c.text)
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
				sealed = w.SealedSize()
			}
			b.ReportMetric(float64(sealed), "sealed-B")
		})
	}
}

// BenchmarkBodyOut opens and reads a body from front to back, with the data
// key fresh from its wrapping as for FETCH.
func BenchmarkBodyOut(b *testing.B) {
	for _, c := range bodyCases() {
		b.Run(c.name, func(b *testing.B) {
			inbox, k, id := NewKey(), NewKey(), benchIdentity()
			wrapped, sealed := inbox.Wrap(k, id), sealBody(b, c.text, k, id)
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				k, err := inbox.Unwrap(wrapped, id)
				if err != nil {
					b.Fatal(err)
				}
				body, err := OpenBody(bytes.NewReader(sealed), int64(len(sealed)), k, id)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := body.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
				body.Close()
			}
		})
	}
}

// BenchmarkBodyReadAt reads 200 bytes at random places of 10 MB: one chunk
// opened for each, nearly always.
func BenchmarkBodyReadAt(b *testing.B) {
	k, id, text := NewKey(), benchIdentity(), mailText(10<<20)
	sealed := sealBody(b, text, k, id)
	body, err := OpenBody(bytes.NewReader(sealed), int64(len(sealed)), k, id)
	if err != nil {
		b.Fatal(err)
	}
	r, p := rand.New(rand.NewPCG(3, 4)), make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := body.ReadAt(p, r.Int64N(body.Size()-int64(len(p)))); err != nil {
			b.Fatal(err)
		}
	}
}

type bodyCase struct {
	name string
	text []byte
}

func bodyCases() []bodyCase {
	return []bodyCase{
		{"text-4KB", mailText(4 << 10)},
		{"noise-4KB", noise(4 << 10)},
		{"text-10MB", mailText(10 << 20)},
		{"noise-10MB", noise(10 << 20)},
	}
}
