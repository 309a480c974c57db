package report

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
)

// Bounds of what is unpacked.
const (
	MaxUnpacked = 10 << 20 // bytes of a report
	maxRatio    = 250      // times the packed size; reports are packed to a tenth or fiftieth
	freeRatio   = 64 << 10 // bytes for which the ratio counts for nothing
)

// unpack opens a report: gzip, zip or plain, known by how it begins. The error
// wraps ErrReport.
func unpack(packed []byte) ([]byte, error) {
	switch {
	case isGzip(packed):
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, bad("%v", err)
		}
		r.Multistream(false)
		return inflate(r, len(packed))
	case isZip(packed):
		return unzip(packed)
	case len(packed) > MaxUnpacked:
		return nil, bad("it has more than %d bytes", MaxUnpacked)
	}
	return packed, nil
}

func isGzip(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b}) }
func isZip(b []byte) bool  { return bytes.HasPrefix(b, []byte("PK")) }

// inflate reads what was packed in so many bytes, within bounds, and refuses an
// archive in it.
func inflate(r io.Reader, packed int) ([]byte, error) {
	most := min(MaxUnpacked, max(freeRatio, packed*maxRatio))
	b, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	switch {
	case len(b) > most:
		return nil, bad("it unpacks to more than %d bytes", most)
	case err != nil:
		return nil, bad("%v", err)
	case isGzip(b), isZip(b):
		return nil, bad("it has an archive inside")
	}
	return b, nil
}

// unzip opens the one file of a zip archive (APPNOTE.TXT, section 4.3) from the
// front. The directory at the end, which may say anything, is not read: what is
// bounded here is all that there is.
func unzip(b []byte) ([]byte, error) {
	const head = 30
	if len(b) < head || !bytes.HasPrefix(b, []byte("PK\x03\x04")) {
		return nil, bad("its archive has no file")
	}
	word := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	flags, method, size := word(6), word(8), binary.LittleEndian.Uint32(b[18:])
	start := head + word(26) + word(28)
	switch {
	case flags&1 != 0:
		return nil, bad("its archive is encrypted")
	case start > len(b):
		return nil, bad("its archive ends too early")
	}
	rest := bytes.NewReader(b[start:])
	var file []byte
	var err error
	switch {
	case method == 8:
		file, err = inflate(flate.NewReader(rest), len(b)) // reads byte by byte, and not beyond the end
	case method == 0 && flags&8 == 0 && int64(size) <= int64(rest.Len()):
		file, err = inflate(io.LimitReader(rest, int64(size)), len(b))
	default:
		return nil, bad("its archive is packed in a way that is not known")
	}
	if err != nil {
		return nil, err
	}
	if err := lastFile(b[len(b)-rest.Len():], flags&8 != 0); err != nil {
		return nil, err
	}
	return file, nil
}

// lastFile says that no other file follows.
func lastFile(b []byte, described bool) error {
	if described { // sizes and checksum behind the file, with a mark or without
		b = bytes.TrimPrefix(b, []byte("PK\x07\x08"))
		if len(b) < 12 {
			return bad("its archive ends too early")
		}
		if b = b[12:]; len(b) >= 8 && !isZip(b) && isZip(b[8:]) { // ZIP64
			b = b[8:]
		}
	}
	if bytes.HasPrefix(b, []byte("PK\x03\x04")) {
		return bad("its archive has several files")
	}
	return nil
}

// errNotFound: no part of the message is a report.
var errNotFound = fmt.Errorf("%w: there is none in the message", ErrReport)

// parse reads a report of either kind, packed or not.
func parse(packed []byte) (*Aggregate, *TLSReport, error) {
	text, err := unpack(packed)
	if err != nil {
		return nil, nil, err
	}
	text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(text, []byte("<")):
		a, err := ParseAggregate(text)
		if err != nil {
			return nil, nil, err
		}
		return a, nil, nil
	case bytes.HasPrefix(text, []byte("{")):
		t, err := ParseTLS(text)
		if err != nil {
			return nil, nil, err
		}
		return nil, t, nil
	}
	return nil, nil, errNotFound
}
