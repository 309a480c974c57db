package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// reference keeps all hashes of a tree as sumdb/tlog stores them.
type reference []tlog.Hash

func (r *reference) add(t testing.TB, n int64, leaf tlog.Hash) {
	t.Helper()
	hashes, err := tlog.StoredHashesForRecordHash(n, leaf, r)
	if err != nil {
		t.Fatal(err)
	}
	*r = append(*r, hashes...)
}

func (r *reference) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = (*r)[index]
	}
	return hashes, nil
}

// memoryTiles keeps tiles and leaves in memory.
type memoryTiles struct {
	tiles  map[tileID][]byte
	leaves []byte
}

func (m *memoryTiles) Tile(level int, n uint64) ([]byte, error) {
	if b, ok := m.tiles[tileID{level, n}]; ok {
		return b, nil
	}
	return nil, errors.New("no such tile")
}

func (m *memoryTiles) Leaves(from, to uint64) ([]byte, error) {
	if to-from >= TileWidth {
		return nil, errors.New("more leaves than the contract allows")
	}
	return m.leaves[from*32 : to*32], nil
}

func (m *memoryTiles) store(t testing.TB, leaf tlog.Hash, tiles []Tile) {
	t.Helper()
	m.leaves = append(m.leaves, leaf[:]...)
	for _, tile := range tiles {
		if tile.Level == 0 && len(tile.Hashes) != tileBytes {
			t.Errorf("tile 0/%d is not full", tile.N)
		}
		m.tiles[tileID{tile.Level, tile.N}] = tile.Hashes
	}
}

func leafOf(n int64) tlog.Hash { return tlog.RecordHash(fmt.Append(nil, "event ", n)) }

// grow builds a tree of a size beside its reference and calls check at each size.
func grow(t testing.TB, size int64, check func(size int64, tree *Tree, tiles *memoryTiles, ref *reference)) {
	t.Helper()
	tiles, ref := &memoryTiles{tiles: map[tileID][]byte{}}, new(reference)
	tree, err := NewTree(0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(0, tree, tiles, ref)
	for n := range size {
		leaf := leafOf(n)
		ref.add(t, n, leaf)
		tiles.store(t, leaf, tree.Append(leaf))
		check(n+1, tree, tiles, ref)
	}
}

func TestTreeEqualsTlog(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	grow(t, 140_000, func(size int64, tree *Tree, tiles *memoryTiles, ref *reference) {
		if size > 1000 && rng.IntN(2000) != 0 && size&(size-1) != 0 && size%TileWidth > 1 {
			return
		}
		want, err := tlog.TreeHash(size, ref)
		if err != nil {
			t.Fatal(err)
		}
		if tree.Root() != [32]byte(want) || tree.Size() != uint64(size) {
			t.Fatalf("root of %d differs from tlog's", size)
		}
		if size%TileWidth > 1 && rng.IntN(4) != 0 {
			return
		}
		again, err := NewTree(uint64(size), tree.Frontier(), tiles)
		if err != nil {
			t.Fatalf("open at %d: %v", size, err)
		}
		if again.Root() != tree.Root() {
			t.Fatalf("root of %d changed by closing and opening", size)
		}
		for level := range again.partial {
			if string(again.partial[level]) != string(tree.partial[level]) {
				t.Fatalf("size %d: the partial tile of level %d changed by closing and opening", size, level)
			}
		}
	})
}

// Roots of the test data that Certificate Transparency implementations share.
func TestTreeCertificateTransparencyVectors(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	tree, err := NewTree(0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		if got := tree.Root(); hex.EncodeToString(got[:]) != roots[i] {
			t.Errorf("root of %d leaves: %x", i, got)
		}
		if i == len(leaves) {
			break
		}
		data, _ := hex.DecodeString(leaves[i])
		tree.Append(LeafHash(data))
	}
}

// A commit that fails leaves the tree as it was; the clone that it appended to is dropped.
func TestTreeCloneIsApart(t *testing.T) {
	tree, _ := NewTree(0, nil, nil)
	for n := range int64(255) {
		tree.Append(leafOf(n))
	}
	root, clone := tree.Root(), tree.Clone()
	var full []Tile
	for n := range int64(300) {
		full = append(full, clone.Append(leafOf(1000+n))...)
	}
	if tree.Root() != root || tree.Size() != 255 {
		t.Error("appending to a clone changed the tree")
	}
	if tiles := tree.Append(leafOf(255)); len(tiles) != 2 || string(tiles[0].Hashes[:8160]) != string(full[0].Hashes[:8160]) {
		t.Error("tree and clone do not share their beginning")
	}
}

func TestNewTreeRefusesWhatDoesNotBelong(t *testing.T) {
	grow(t, 66_000, func(size int64, tree *Tree, tiles *memoryTiles, _ *reference) {
		if size != 66_000 {
			return
		}
		open := func(size uint64, frontier []byte) error {
			_, err := NewTree(size, frontier, tiles)
			return err
		}
		if err := open(uint64(size), tree.Frontier()); err != nil {
			t.Fatal(err)
		}
		frontier := tree.Frontier()
		frontier[3] ^= 1
		if err := open(uint64(size), frontier); !errors.Is(err, ErrTree) {
			t.Errorf("changed frontier: %v", err)
		}
		if err := open(uint64(size)-1, tree.Frontier()); err == nil {
			t.Error("a wrong size was accepted")
		}
		if err := open(1<<61, tree.Frontier()[:32]); err == nil {
			t.Error("an impossible size was accepted")
		}
		tiles.leaves[32*65_999] ^= 1
		if err := open(uint64(size), tree.Frontier()); !errors.Is(err, ErrTree) {
			t.Errorf("an event row changed after the last full tile: %v", err)
		}
		tiles.leaves[32*65_999] ^= 1
		tiles.tiles[tileID{1, 1}][0] ^= 1
		if err := open(uint64(size), tree.Frontier()); !errors.Is(err, ErrTree) {
			t.Errorf("changed tile: %v", err)
		}
	})
}

func TestAU7_ProofsEqualTlog(t *testing.T) {
	grow(t, 67_000, func(size int64, _ *Tree, tiles *memoryTiles, ref *reference) {
		if size != 700 && size != 67_000 {
			return
		}
		hashes, err := NewHashes(uint64(size), tiles)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(7, uint64(size)))
		for range 500 {
			of := 1 + rng.Int64N(size)
			n := rng.Int64N(of)
			root, err := hashes.Root(uint64(of))
			if want, _ := tlog.TreeHash(of, ref); err != nil || root != [32]byte(want) {
				t.Fatalf("root of %d: %v", of, err)
			}
			inclusion, err := hashes.Inclusion(uint64(of), uint64(n))
			if err != nil || tlog.CheckRecord(inclusion, of, root, n, leafOf(n)) != nil {
				t.Fatalf("inclusion of %d in %d: %v", n, of, err)
			}
			before := Checkpoint{Size: uint64(n)}
			before.Root, _ = hashes.Root(before.Size)
			after := Checkpoint{Size: uint64(of), Root: root}
			var proof tlog.TreeProof
			if n > 0 {
				if proof, err = hashes.Consistency(after.Size, before.Size); err != nil {
					t.Fatal(err)
				}
			}
			if err := CheckConsistency(proof, before, after); err != nil {
				t.Fatalf("consistency of %d and %d: %v", n, of, err)
			}
			before.Root[0] ^= 1
			if err := CheckConsistency(proof, before, after); n > 0 && !errors.Is(err, ErrFork) {
				t.Fatalf("consistency of %d and %d with a changed root: %v", n, of, err)
			}
		}
	})
}

// The hashes left and right of a range and the leaves of the range make the root; and there are few of them.
func TestAU7_RangeProof(t *testing.T) {
	grow(t, 1000, func(size int64, tree *Tree, tiles *memoryTiles, _ *reference) {
		if size != 1000 {
			return
		}
		hashes, err := NewHashes(1000, tiles)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(9, 9))
		for range 2000 {
			of := rng.Uint64N(1001)
			to := rng.Uint64N(of + 1)
			from := rng.Uint64N(to + 1)
			left, right, err := hashes.Range(of, from, to)
			if err != nil || len(left) > 10 || len(right) > 20 {
				t.Fatalf("[%d, %d) of %d: %d and %d hashes, %v", from, to, of, len(left), len(right), err)
			}
			v := verification{}
			if !v.extend(left, 0, from) {
				t.Fatalf("[%d, %d) of %d: the left proof does not fit", from, to, of)
			}
			for n := from; n < to; n++ {
				v.tree.append(0, leafOf(int64(n)), nil)
			}
			if !v.extend(right, to, of) {
				t.Fatalf("[%d, %d) of %d: the right proof does not fit", from, to, of)
			}
			if want, _ := hashes.Root(of); v.tree.root() != want {
				t.Fatalf("[%d, %d) of %d: another root", from, to, of)
			}
		}
	})
}

func TestHashesRefuses(t *testing.T) {
	grow(t, 1000, func(size int64, tree *Tree, tiles *memoryTiles, _ *reference) {
		if size != 1000 {
			return
		}
		hashes, err := NewHashes(1000, tiles)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hashes.Root(1001); !errors.Is(err, ErrRollback) {
			t.Errorf("root beyond the end: %v", err)
		}
		if _, err := hashes.Inclusion(1000, 1000); err == nil {
			t.Error("inclusion beyond the end")
		}
		if _, _, err := hashes.Range(1000, 5, 4); err == nil {
			t.Error("a range that ends before it starts")
		}
		if err := hashes.Extends(Checkpoint{Size: 1000, Root: tree.Root()}); err != nil {
			t.Errorf("its own checkpoint: %v", err)
		}
		if err := hashes.Extends(Checkpoint{Size: 999, Root: tree.Root()}); !errors.Is(err, ErrFork) {
			t.Errorf("a checkpoint of another log: %v", err)
		}
		if err := hashes.Extends(Checkpoint{Size: 1001, Root: tree.Root()}); !errors.Is(err, ErrRollback) {
			t.Errorf("a checkpoint of a longer log: %v", err)
		}
		delete(tiles.tiles, tileID{0, 1})
		hashes, _ = NewHashes(1000, tiles)
		if _, err := hashes.Inclusion(1000, 300); err == nil {
			t.Error("a missing tile is not noticed")
		}
	})
}

func BenchmarkTreeAppend(b *testing.B) {
	tree, _ := NewTree(0, nil, nil)
	leaf := leafOf(1)
	b.ReportAllocs()
	for b.Loop() {
		tree.Append(leaf)
	}
}

func BenchmarkTreeClone(b *testing.B) {
	tree, _ := NewTree(0, nil, nil)
	for n := range int64(100_000) {
		tree.Append(leafOf(n))
	}
	b.ReportAllocs()
	for b.Loop() {
		tree.Clone()
	}
}

func BenchmarkTreeOpenMillion(b *testing.B) {
	tiles := &memoryTiles{tiles: map[tileID][]byte{}}
	tree, _ := NewTree(0, nil, nil)
	for n := range int64(1_000_003) {
		leaf := leafOf(n)
		tiles.store(b, leaf, tree.Append(leaf))
	}
	b.ResetTimer()
	for b.Loop() {
		if _, err := NewTree(tree.Size(), tree.Frontier(), tiles); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInclusion100k(b *testing.B) {
	tiles := &memoryTiles{tiles: map[tileID][]byte{}}
	tree, _ := NewTree(0, nil, nil)
	for n := range int64(100_000) {
		leaf := leafOf(n)
		tiles.store(b, leaf, tree.Append(leaf))
	}
	rng := rand.New(rand.NewPCG(1, 1))
	b.ResetTimer()
	for b.Loop() { // each with cold tiles
		hashes, err := NewHashes(tree.Size(), tiles)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := hashes.Inclusion(tree.Size(), rng.Uint64N(tree.Size())); err != nil {
			b.Fatal(err)
		}
	}
}
