package audit

import (
	"errors"
	"fmt"
	"slices"
)

// TileWidth is how many hashes a full tile holds.
const TileWidth = 256

const (
	tileHeight = 8 // log₂ TileWidth
	tileBytes  = 32 * TileWidth
	tileLevels = 8 // 256⁸ leaves
)

// Tile is a row of hashes to be stored: hashes n·256 … n·256+255 of tile level Level, where level 0 holds leaves and
// level L the roots of the tiles of level L-1. A tile of level 0 is always full. One above may be partial, and is
// replaced by a longer one when the next tile below it is full.
type Tile struct {
	Level  int
	N      uint64
	Hashes []byte // 32 bytes each, at most 256
}

// Tiles is what proofs read from the store. Whatever it returns is checked against a root that was signed.
type Tiles interface {
	// Tile returns the hashes of a stored tile: that of Append, or a longer one of the same place.
	Tile(level int, n uint64) ([]byte, error)
	// Leaves returns the hashes of leaves from up to, not including, to, 32 bytes each, at most 255 of them: those past
	// the last full tile, which only the event rows hold.
	Leaves(from, to uint64) ([]byte, error)
}

// Tree appends leaves. It holds the frontier and the tiles that are not full yet, some 10 KB. A Tree is not safe for
// concurrent use.
type Tree struct {
	frontier
	partial [tileLevels][]byte
}

// ErrTree says that stored hashes are not those of the tree whose size and frontier were given.
var ErrTree = errors.New("audit: stored hashes do not belong to this tree")

// NewTree opens a tree of the given size from the bytes that Frontier returned and from the tiles and leaves that are
// not complete, which it checks against the frontier. The empty tree needs neither.
func NewTree(size uint64, peaks []byte, tiles Tiles) (*Tree, error) {
	f, err := parseFrontier(size, peaks)
	if err != nil {
		return nil, err
	}
	t := &Tree{frontier: f}
	var check frontier
	for level := tileLevels - 1; level >= 0; level-- {
		width := size >> (level * tileHeight) % TileWidth
		if width == 0 {
			continue
		}
		n := size >> (level * tileHeight) / TileWidth
		if level == 0 {
			t.partial[0], err = tiles.Leaves(size-width, size)
		} else {
			t.partial[level], err = tiles.Tile(level, n)
		}
		if err != nil {
			return nil, fmt.Errorf("audit: tile %d/%d of the tree: %w", level, n, err)
		}
		if len(t.partial[level]) != int(width)*32 {
			return nil, ErrTree
		}
		for h := range slices.Chunk(t.partial[level], 32) {
			check.append(level*tileHeight, [32]byte(h), nil)
		}
	}
	if !slices.Equal(check.peaks, f.peaks) {
		return nil, ErrTree
	}
	return t, nil
}

// Append adds a leaf and returns the tiles to be stored with it: none, or a full tile of level 0 and the tiles above
// that took its root.
func (t *Tree) Append(leaf [32]byte) []Tile {
	var tiles []Tile
	n := t.size
	if t.push(0, leaf) {
		tiles = append(tiles, t.take(0, n))
	}
	t.frontier.append(0, leaf, func(height int, h [32]byte) {
		if height%tileHeight != 0 {
			return
		}
		level := height / tileHeight
		full := t.push(level, h)
		tile := Tile{level, n >> height / TileWidth, slices.Clone(t.partial[level])}
		if full {
			tile = t.take(level, n>>height)
		}
		tiles = append(tiles, tile)
	})
	return tiles
}

// push adds a hash to the partial tile of a level and reports whether it is full.
func (t *Tree) push(level int, h [32]byte) bool {
	t.partial[level] = append(t.partial[level], h[:]...)
	return len(t.partial[level]) == tileBytes
}

// take hands the full tile of a level over. Hash n is in it.
func (t *Tree) take(level int, n uint64) Tile {
	tile := Tile{level, n / TileWidth, t.partial[level]}
	t.partial[level] = nil
	return tile
}

// Size returns how many leaves the tree has.
func (t *Tree) Size() uint64 { return t.size }

// Root returns the Merkle tree hash (RFC 6962, section 2.1).
func (t *Tree) Root() [32]byte { return t.root() }

// Frontier returns the roots of the perfect subtrees, largest first: with the size, all that a commit has to store
// beside the tiles.
func (t *Tree) Frontier() []byte { return t.bytes() }

// Clone returns a copy. The writer appends to the copy and keeps it once the commit succeeded.
func (t *Tree) Clone() *Tree {
	c := &Tree{frontier: frontier{size: t.size, peaks: slices.Clone(t.peaks)}}
	for level := range t.partial {
		c.partial[level] = slices.Clone(t.partial[level])
	}
	return c
}
