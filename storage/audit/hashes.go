package audit

import (
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Errors of Hashes.Extends. Both mean that the stored log is not the one that was witnessed.
var (
	// ErrRollback says that the tree is shorter than a checkpoint: its tail was cut, or an old copy restored.
	ErrRollback = errors.New("audit: the log is shorter than a checkpoint of it")
	// ErrFork says that the tree has another root at the size of a checkpoint: something before it was changed.
	ErrFork = errors.New("audit: the log differs from a checkpoint of it")
)

// Hashes makes roots and proofs of a stored tree, for the tree as it is and as it was at any smaller size. It is a
// tlog.HashReader. It caches the tiles that it read and is not safe for concurrent use: one serves one answer.
type Hashes struct {
	tiles Tiles
	size  uint64
	tail  pyramid // leaves past the last full tile
	cache map[tileID]pyramid
}

type tileID struct {
	level int
	n     uint64
}

// cachedTiles bounds the cache, at 16 KB a tile.
const cachedTiles = 64

// NewHashes reads the stored tree of the given size.
func NewHashes(size uint64, tiles Tiles) (*Hashes, error) {
	if size > maxSize {
		return nil, errFrontier
	}
	h := &Hashes{tiles: tiles, size: size, cache: map[tileID]pyramid{}}
	if full := size &^ (TileWidth - 1); full < size {
		b, err := tiles.Leaves(full, size)
		if err != nil {
			return nil, fmt.Errorf("audit: leaves from %d: %w", full, err)
		}
		if len(b) != int(size-full)*32 {
			return nil, ErrTree
		}
		h.tail = newPyramid(b)
	}
	return h, nil
}

// pyramid holds the hashes of a tile and the nodes above them, for as far as they are complete.
type pyramid [tileHeight][]tlog.Hash

func newPyramid(b []byte) (p pyramid) {
	p[0] = make([]tlog.Hash, len(b)/32)
	for i := range p[0] {
		copy(p[0][i][:], b[32*i:])
	}
	for l := 1; l < tileHeight && len(p[l-1]) > 1; l++ {
		p[l] = make([]tlog.Hash, len(p[l-1])/2)
		for i := range p[l] {
			p[l][i] = node(p[l-1][2*i], p[l-1][2*i+1])
		}
	}
	return p
}

// ReadHashes returns nodes by their tlog.StoredHashIndex.
func (h *Hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		x, err := h.node(level, uint64(n))
		if err != nil {
			return nil, err
		}
		hashes[i] = x
	}
	return hashes, nil
}

// node returns the root of the perfect subtree of leaves n·2^level up to (n+1)·2^level.
func (h *Hashes) node(level int, n uint64) (tlog.Hash, error) {
	l, tileLevel := level%tileHeight, level/tileHeight
	p, err := h.tile(tileLevel, n<<l/TileWidth)
	if err != nil {
		return tlog.Hash{}, err
	}
	i := n % (TileWidth >> l)
	if i >= uint64(len(p[l])) {
		return tlog.Hash{}, ErrTree
	}
	return p[l][i], nil
}

func (h *Hashes) tile(level int, n uint64) (pyramid, error) {
	if level == 0 && n == h.size/TileWidth {
		return h.tail, nil
	}
	id := tileID{level, n}
	if p, ok := h.cache[id]; ok {
		return p, nil
	}
	b, err := h.tiles.Tile(level, n)
	if err != nil {
		return pyramid{}, fmt.Errorf("audit: tile %d/%d of the tree: %w", level, n, err)
	}
	if len(b) == 0 || len(b) > tileBytes || len(b)%32 != 0 {
		return pyramid{}, ErrTree
	}
	if len(h.cache) == cachedTiles {
		clear(h.cache)
	}
	p := newPyramid(b)
	h.cache[id] = p
	return p, nil
}

// Root returns the root that the tree had at a size.
func (h *Hashes) Root(size uint64) ([32]byte, error) {
	if size > h.size {
		return [32]byte{}, ErrRollback
	}
	if size == 0 {
		return (&frontier{}).root(), nil
	}
	return tlog.TreeHash(int64(size), h)
}

// Inclusion proves that the tree of a size holds leaf n (RFC 6962, section 2.1.1). tlog.CheckRecord checks it.
func (h *Hashes) Inclusion(size, n uint64) (tlog.RecordProof, error) {
	if size > h.size || n >= size {
		return nil, ErrRollback
	}
	return tlog.ProveRecord(int64(size), int64(n), h)
}

// Consistency proves that the tree of a size begins with the tree of the size before (RFC 6962, section 2.1.2).
// CheckConsistency checks it.
func (h *Hashes) Consistency(size, before uint64) (tlog.TreeProof, error) {
	if size > h.size || before > size || before == 0 {
		return nil, ErrRollback
	}
	return tlog.ProveTree(int64(size), int64(before), h)
}

// CheckConsistency checks a proof that nothing changed between two checkpoints but that leaves were added. Every log
// extends the empty one, without a proof.
func CheckConsistency(proof tlog.TreeProof, before, after Checkpoint) error {
	switch {
	case before.Size > after.Size:
		return ErrRollback
	case before.Size == 0:
		return nil
	case tlog.CheckTree(proof, int64(after.Size), after.Root, int64(before.Size), before.Root) != nil:
		return ErrFork
	}
	return nil
}

// Range returns the roots of the fewest subtrees that cover the leaves to the left of from, and those that cover the
// leaves from to up to the size. With the leaves between, they give the root: they prove that these leaves, all of
// them and in this order, are what the tree holds there.
func (h *Hashes) Range(size, from, to uint64) (left, right []tlog.Hash, err error) {
	if size > h.size || from > to || to > size {
		return nil, nil, ErrRollback
	}
	if left, err = h.cover(0, from); err != nil {
		return nil, nil, err
	}
	right, err = h.cover(to, size)
	return left, right, err
}

func (h *Hashes) cover(from, to uint64) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for from < to {
		level := subtree(from, to)
		x, err := h.node(level, from>>level)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, x)
		from += 1 << level
	}
	return hashes, nil
}

// subtree returns the height of the largest subtree that starts at a leaf and ends by another.
func subtree(from, to uint64) int {
	return min(bits.TrailingZeros64(from), bits.Len64(to-from)-1)
}

// Extends checks that the tree holds a checkpoint as a prefix: ErrRollback when it is shorter, ErrFork when it differs.
// Start-up holds the tree against the last witnessed checkpoint with it.
func (h *Hashes) Extends(c Checkpoint) error {
	root, err := h.Root(c.Size)
	if err != nil {
		return err
	}
	if root != c.Root {
		return ErrFork
	}
	return nil
}
