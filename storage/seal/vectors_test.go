package seal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
)

var update = flag.Bool("update", false, "write the vectors that are missing from testdata/vectors")

// vector is a file of testdata/vectors: a sealed value and what must come of
// opening it. A file is a promise to every installation that has such bytes on
// its disk, so that -update adds files and never rewrites one.
//
//	# what the file shows
//	kind: record, key or body
//	expect: ok               it opens to the plaintext of that size and hash
//	expect: open             it does not open
//	expect: read 65536       it opens, and does not read beyond that offset
//	key: ...                 and the fields of the identity
//	size: 5
//	sha256: ...
//
//	<the sealed bytes in base64>
type vector struct {
	comment, kind, expect string
	key                   []byte
	id                    Identity
	size                  int
	sum                   string
	sealed                []byte
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	paths, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(paths) < 40 {
		t.Fatalf("%d vectors, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			v := readVectorFile(t, path)
			text, when, err := v.open(keyFrom((*[KeySize]byte)(v.key)))
			if err != nil && !errors.Is(err, ErrOpen) {
				t.Fatalf("error is not ErrOpen: %v", err)
			}
			if when != v.expect {
				t.Fatalf("%s: got %s (%v), want %s", v.comment, when, err, v.expect)
			}
			sum := sha256.Sum256(text)
			if err == nil && (len(text) != v.size || hex.EncodeToString(sum[:]) != v.sum) {
				t.Errorf("opens to another plaintext of %d bytes, sha256 %x", len(text), sum)
			}
		})
	}
}

// open opens the value and says when that failed, in the words of expect.
func (v *vector) open(k Key) (text []byte, when string, err error) {
	switch v.kind {
	case "record":
		text, err = k.Open(v.sealed, v.id)
	case "key":
		var inner Key
		if inner, err = k.Unwrap(v.sealed, v.id); err == nil {
			text = inner.state.secret[:]
		}
	case "body":
		var b *Body
		if b, err = OpenBody(bytes.NewReader(v.sealed), int64(len(v.sealed)), k, v.id); err == nil {
			var out bytes.Buffer
			if _, err = b.WriteTo(&out); err != nil {
				return nil, fmt.Sprintf("read %d", out.Len()), err
			}
			text = out.Bytes()
		}
	default:
		return nil, "", fmt.Errorf("kind %q", v.kind)
	}
	if err != nil {
		return nil, "open", err
	}
	return text, "ok", nil
}

func readVectorFile(t testing.TB, path string) *vector {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v, fields := &vector{}, map[string]string{}
	in := bufio.NewScanner(bytes.NewReader(content))
	for in.Scan() && in.Text() != "" {
		if comment, ok := strings.CutPrefix(in.Text(), "# "); ok {
			v.comment += comment + " "
			continue
		}
		name, value, _ := strings.Cut(in.Text(), ": ")
		fields[name] = value
	}
	var body strings.Builder
	for in.Scan() {
		body.WriteString(in.Text())
	}
	fail := func(err error) {
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	v.kind, v.expect, v.sum = fields["kind"], fields["expect"], fields["sha256"]
	v.id.Table, v.id.Purpose = fields["table"], fields["purpose"]
	v.key, err = hex.DecodeString(fields["key"])
	fail(err)
	v.id.Org, err = uuid.Parse(fields["org"])
	fail(err)
	v.id.Event, err = uuid.Parse(fields["event"])
	fail(err)
	v.id.ID, err = hex.DecodeString(fields["id"])
	fail(err)
	v.id.Version, err = strconv.ParseUint(fields["version"], 10, 64)
	fail(err)
	if v.expect == "ok" {
		v.size, err = strconv.Atoi(fields["size"])
		fail(err)
	}
	v.sealed, err = base64.StdEncoding.DecodeString(body.String())
	fail(err)
	return v
}

func (v *vector) text() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# %s\nkind: %s\nexpect: %s\nkey: %x\norg: %s\nevent: %s\ntable: %s\nid: %x\npurpose: %s\nversion: %d\n",
		v.comment, v.kind, v.expect, v.key, v.id.Org, v.id.Event, v.id.Table, v.id.ID, v.id.Purpose, v.id.Version)
	if v.expect == "ok" {
		fmt.Fprintf(&out, "size: %d\nsha256: %s\n", v.size, v.sum)
	}
	out.WriteString("\n")
	for b := base64.StdEncoding.EncodeToString(v.sealed); b != ""; {
		n := min(len(b), 76)
		out.WriteString(b[:n] + "\n")
		b = b[n:]
	}
	return out.Bytes()
}

// writeVectors writes the vectors that have no file yet.
func writeVectors(t *testing.T) {
	write := func(name, kind, expect, comment string, sealed, plain []byte) {
		path := filepath.Join("testdata/vectors", name+".txt")
		if _, err := os.Stat(path); err == nil {
			return
		}
		sum := sha256.Sum256(plain)
		v := &vector{comment: comment, kind: kind, expect: expect, key: testKey().state.secret[:], id: testIdentity(),
			size: len(plain), sum: hex.EncodeToString(sum[:]), sealed: sealed}
		if err := os.WriteFile(path, v.text(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	writeRecords(write)
	writeGoodBodies(t, write)
	writeTamperedBodies(t, write)
	writeForgedBodies(write)
}

type writeVector func(name, kind, expect, comment string, sealed, plain []byte)

// flipped is b with its i-th bit changed.
func flipped(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i/8] ^= 1 << (i % 8)
	return b
}

func writeRecords(write writeVector) {
	k, id, text := testKey(), testIdentity(), []byte("scope: read")
	sealed := k.Seal(text, id)
	write("record-ok", "record", "ok", "a record", sealed, text)
	write("record-empty", "record", "ok", "a record without content", k.Seal(nil, id), nil)
	write("record-nonce-changed", "record", "open", "a bit of the nonce is changed", flipped(sealed, 0), nil)
	write("record-text-changed", "record", "open", "a bit of the text is changed", flipped(sealed, 8*nonceSize), nil)
	write("record-tag-changed", "record", "open", "a bit of the tag is changed", flipped(sealed, 8*len(sealed)-1), nil)
	write("record-truncated", "record", "open", "the last byte is missing", sealed[:len(sealed)-1], nil)
	write("record-short", "record", "open", "shorter than nonce and tag", sealed[:Overhead-1], nil)
	write("record-nothing", "record", "open", "nothing at all", nil, nil)
	old := id
	old.Version--
	write("record-old-version", "record", "open", "sealed as version 6, wanted as version 7", k.Seal(text, old), nil)
	secret := new([KeySize]byte)
	copy(secret[:], "the secret of an inner key......")
	wrapped := k.Wrap(keyFrom(secret), id)
	write("key-ok", "key", "ok", "a wrapped key", wrapped, secret[:])
	write("key-as-record", "record", "open", "a wrapped key given for a record", wrapped, nil)
	write("key-from-record", "key", "open", "a record of 32 bytes given for a wrapped key", k.Seal(secret[:], id), nil)
	write("key-truncated", "key", "open", "the last byte of a wrapped key is missing", wrapped[:WrappedSize-1], nil)
}

func writeGoodBodies(t *testing.T, write writeVector) {
	k, id := testKey(), testIdentity()
	good := func(name, comment string, text []byte) {
		write("body-"+name, "body", "ok", comment, sealBody(t, text, k, id), text)
	}
	good("empty", "a body without content", nil)
	good("one-byte", "one byte, stored raw", []byte("a"))
	good("raw", "300 bytes that do not compress, stored raw", noise(300))
	good("short-zstd", "100 zeros, compressed: a frame whose size fits one byte", make([]byte, 100))
	good("text", "a message of 4 KB, compressed", mailText(4096))
	good("full-chunk", "exactly 64 KiB: one chunk, no table", make([]byte, chunkSize))
	good("two-chunks", "64 KiB and one byte", make([]byte, chunkSize+1))
	good("three-chunks", "exactly three chunks", bytes.Repeat([]byte("0123456789abcdef"), 3*chunkSize/16))
}

// writeTamperedBodies writes what somebody without the key can make of bodies.
func writeTamperedBodies(t *testing.T, write writeVector) {
	k, id := testKey(), testIdentity()
	bad := func(name, expect, comment string, parts ...[]byte) {
		write("body-"+name, "body", expect, comment, bytes.Join(parts, nil), nil)
	}
	short := sealBody(t, []byte("a short body"), k, id)
	bad("nothing", "open", "nothing at all")
	bad("header-only", "open", "the header alone", short[:headerSize])
	bad("form-unknown", "open", "the form byte is 3", []byte{3}, short[1:])
	bad("form-single-as-chunked", "open", "the form byte of a short body is changed", []byte{formChunked}, short[1:])
	bad("salt-changed", "open", "a bit of the salt is changed", flipped(short, 8))
	bad("packing-changed", "open", "a bit of the packing byte is changed", flipped(short, 8*headerSize))
	bad("short-truncated", "open", "the last byte is missing", short[:len(short)-1])
	bad("short-extended", "open", "a byte follows", short, []byte{0})

	// Four chunks of zeros, all sealed to the same length, so that they can be
	// exchanged without a trace in the table.
	long, other := sealBody(t, make([]byte, 4*chunkSize), k, id), sealBody(t, make([]byte, 4*chunkSize), k, id)
	n := (len(long) - headerSize - tableSize(4) - countSize) / 4
	header, rest := long[:headerSize], long[headerSize+4*n:]
	chunk := func(i int) []byte { return long[headerSize+i*n : headerSize+(i+1)*n] }
	bad("form-chunked-as-single", "open", "the form byte of a long body is changed", []byte{formSingle}, long[1:])
	bad("truncated", "open", "the last byte is missing", long[:len(long)-1])
	bad("truncated-table", "open", "table and count are missing", long[:headerSize+4*n])
	bad("truncated-chunks", "open", "the last two chunks are missing, the table is there", header, chunk(0), chunk(1), rest)
	bad("truncated-count", "open", "the last two chunks are missing, and the count says so", header, chunk(0), chunk(1), rest[:len(rest)-1], []byte{2})
	bad("first-chunk-as-single", "open", "the first chunk of a long body, given for a short body", []byte{formSingle}, header[1:], chunk(0))
	bad("extended", "open", "a byte follows", long, []byte{0})
	bad("extended-chunk", "open", "the last chunk stands there twice", header, chunk(0), chunk(1), chunk(2), chunk(3), chunk(3), rest)
	bad("extended-count", "open", "the last chunk stands there twice, and the count says so", header, chunk(0), chunk(1), chunk(2), chunk(3), chunk(3), rest[:len(rest)-1], []byte{5})
	bad("count-huge", "open", "the count is 4294967295", long[:len(long)-countSize], []byte{255, 255, 255, 255})
	bad("table-changed", "open", "a bit of the table is changed", flipped(long, 8*(headerSize+4*n)))
	bad("table-of-another", "open", "the table is that of another body with the same key and lengths", long[:headerSize+4*n], other[headerSize+4*n:])
	bad("header-of-another", "open", "the header is that of another body with the same key", other[:headerSize], long[headerSize:])
	bad("chunk-changed", "read 131072", "a bit of the third chunk is changed", flipped(long, 8*(headerSize+2*n)+3))
	bad("chunks-exchanged", "read 65536", "the second chunk and the third have changed places", header, chunk(0), chunk(2), chunk(1), chunk(3), rest)
	bad("chunk-repeated", "read 65536", "the first chunk stands in the second's place too", header, chunk(0), chunk(0), chunk(2), chunk(3), rest)
	bad("chunk-of-another", "read 131072", "the third chunk is that of another body with the same key", header, chunk(0), chunk(1), other[headerSize+2*n:headerSize+3*n], chunk(3), rest)
}

// forge seals chunks and a table as they are given, which only somebody with
// the key can do. A nil table gives the single form.
func forge(k Key, id Identity, packed [][]byte, table []byte) []byte {
	header := make([]byte, headerSize)
	copy(header[1:], "salt of a forger")
	header[0] = formSingle
	if table != nil {
		header[0] = formChunked
	}
	s := newStream(k, header, id.append(nil, kindBody))
	out := header
	for i, p := range packed {
		out = s.aead.Seal(out, s.at(i, table == nil), p, s.aad)
	}
	if table != nil {
		out = s.aead.Seal(out, s.at(len(packed), true), table, s.aad)
		out = append(out, 0, 0, byte(len(packed)>>8), byte(len(packed)))
	}
	return out
}

// tableOf is the table of packed chunks, the last plaintext having a length.
func tableOf(packed [][]byte, last int) []byte {
	table := []byte{}
	for _, p := range packed {
		table = appendLength(table, len(p)+tagSize)
	}
	return appendLength(table, last)
}

// writeForgedBodies writes bodies that are authentic and still wrong: a reader
// has to survive them too.
func writeForgedBodies(write writeVector) {
	k, id := testKey(), testIdentity()
	bad := func(name, expect, comment string, packed [][]byte, table []byte) {
		write("forged-"+name, "body", expect, comment, forge(k, id, packed, table), nil)
	}
	frame := func(n int) []byte { return zstdEncoder().EncodeAll(make([]byte, n), []byte{packingZstd}) }
	one := func(p []byte) [][]byte { return [][]byte{p} }
	bad("chunk-without-packing", "open", "a chunk of no bytes", one(nil), nil)
	bad("packing-unknown", "open", "the packing byte is 2", one([]byte{2, 'a'}), nil)
	bad("frame-missing", "open", "no frame where one should be", one([]byte{packingZstd}), nil)
	bad("frame-damaged", "open", "a frame that does not expand", one(append(frame(500)[:15], 255, 255, 255)), nil)
	bad("frame-bomb", "open", "a frame that names 16 MB", one(frame(16<<20)), nil)
	vast := []byte{packingZstd, 0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0, 0}
	bad("frame-vast", "open", "a frame that names 2^60 bytes", one(vast), nil)
	bad("frame-one-too-long", "open", "a frame of 64 KiB and one byte", one(frame(chunkSize+1)), nil)
	bad("frame-twice", "open", "two frames in one chunk", one(append(frame(500), frame(500)[1:]...)), nil)
	lying := frame(500)
	lying[6]++ // the size of the content, behind packing, magic number and descriptor
	bad("frame-lies", "open", "a frame that names another size than it has", one(lying), nil)

	two := [][]byte{frame(chunkSize), frame(chunkSize)}
	bad("one-chunk-with-table", "open", "one chunk, in the form for several", two[:1], tableOf(two[:1], chunkSize))
	bad("last-length-zero", "open", "the table says that the last chunk is empty", two, tableOf(two, 0))
	bad("last-length-too-long", "open", "the table says that the last chunk has more than 64 KiB", two, tableOf(two, chunkSize+1))
	bad("last-length-wrong", "read 65536", "the last chunk is longer than the table says", two, tableOf(two, chunkSize-1))
	bad("length-too-short", "open", "the lengths of the table do not fill the body", two, tableOf([][]byte{two[0], two[1][1:]}, chunkSize))
	bad("length-zero", "open", "the table gives the first chunk no bytes", two, append(make([]byte, lengthSize), tableOf(two, chunkSize)[lengthSize:]...))
	bad("length-too-long", "open", "the table gives the first chunk 16 MB", two, append([]byte{255, 255, 255}, tableOf(two, chunkSize)[lengthSize:]...))
	hollow := [][]byte{{packingRaw}, two[0]}
	bad("inner-chunk-empty", "open", "the first of two chunks is empty", hollow, tableOf(hollow, chunkSize))
	inner := [][]byte{frame(chunkSize), frame(chunkSize - 1), frame(chunkSize)}
	bad("inner-chunk-short", "read 65536", "a chunk in the middle has less than 64 KiB", inner, tableOf(inner, chunkSize))
}
