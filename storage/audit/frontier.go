package audit

import (
	"crypto/sha256"
	"errors"
	"math/bits"
)

// maxSize bounds a tree, so that every index of a node fits the int64 of sumdb/tlog.
const maxSize = 1 << 60

// node returns the hash of an inner node: SHA-256(0x01 ‖ left ‖ right) (RFC 6962, section 2.1).
func node(left, right [32]byte) [32]byte {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// frontier is the right edge of a tree: the roots of its perfect subtrees, largest first, one for each bit that is set
// in the size. It is all that is needed to append and to know the root, and takes at most 64 hashes.
type frontier struct {
	size  uint64
	peaks [][32]byte
}

var errFrontier = errors.New("audit: frontier does not fit the size of the tree")

// parseFrontier reads what bytes wrote.
func parseFrontier(size uint64, b []byte) (frontier, error) {
	n := bits.OnesCount64(size)
	if size > maxSize || len(b) != 32*n {
		return frontier{}, errFrontier
	}
	f := frontier{size: size, peaks: make([][32]byte, n)}
	for i := range f.peaks {
		copy(f.peaks[i][:], b[32*i:])
	}
	return f, nil
}

func (f *frontier) bytes() []byte {
	b := make([]byte, 0, 32*len(f.peaks))
	for i := range f.peaks {
		b = append(b, f.peaks[i][:]...)
	}
	return b
}

// append adds the root of a perfect subtree of 2^level leaves at the right, and calls completed for each node above it
// that is complete now. The size must be a multiple of 2^level.
func (f *frontier) append(level int, h [32]byte, completed func(level int, h [32]byte)) {
	carry := f.size >> level
	f.size += 1 << level
	for ; carry&1 == 1; carry >>= 1 {
		last := len(f.peaks) - 1
		h = node(f.peaks[last], h)
		f.peaks = f.peaks[:last]
		level++
		if completed != nil {
			completed(level, h)
		}
	}
	f.peaks = append(f.peaks, h)
}

// root returns the tree's root; of the empty tree it is the hash of the empty string.
func (f *frontier) root() [32]byte {
	if len(f.peaks) == 0 {
		return sha256.Sum256(nil)
	}
	h := f.peaks[len(f.peaks)-1]
	for i := len(f.peaks) - 2; i >= 0; i-- {
		h = node(f.peaks[i], h)
	}
	return h
}
