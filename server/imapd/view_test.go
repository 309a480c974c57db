package imapd

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/emersion/go-imap/v2"
)

// TestViewAgainstSlice does the same things to a view and to a plain slice of UIDs, at random, and compares everything.
func TestViewAgainstSlice(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		v := new(view)
		var plain []imap.UID
		next := imap.UID(1)
		for range 60 {
			if rnd.IntN(2) == 0 {
				var more []imap.UID
				for range rnd.IntN(30) {
					next += imap.UID(rnd.IntN(4)/3*rnd.IntN(5)) + 1
					more = append(more, next)
				}
				if err := v.append(more...); err != nil {
					t.Fatal(err)
				}
				plain = append(plain, more...)
			} else {
				plain = expungeBoth(t, rnd, v, plain, next)
			}
			compare(t, rnd, v, plain, next)
			if t.Failed() {
				t.Fatal("seed", seed)
			}
		}
	}
}

// expungeBoth removes some messages and plays the EXPUNGE responses on the slice, as a client would.
func expungeBoth(t *testing.T, rnd *rand.Rand, v *view, plain []imap.UID, top imap.UID) []imap.UID {
	var gone []imap.UID
	share := rnd.IntN(10)
	for u := imap.UID(1); u <= top+2; u++ {
		if rnd.IntN(10) < share {
			gone = append(gone, u)
		}
	}
	want := slices.DeleteFunc(slices.Clone(plain), func(u imap.UID) bool { return slices.Contains(gone, u) })
	for _, n := range v.expunge(gone) {
		if int(n) > len(plain) {
			t.Fatalf("EXPUNGE %d of %d", n, len(plain))
		}
		plain = slices.Delete(plain, int(n)-1, int(n))
	}
	if !slices.Equal(plain, want) {
		t.Errorf("after EXPUNGE the client has %v, want %v", plain, want)
	}
	return plain
}

func compare(t *testing.T, rnd *rand.Rand, v *view, plain []imap.UID, top imap.UID) {
	if int(v.len()) != len(plain) {
		t.Fatalf("len %d, want %d", v.len(), len(plain))
	}
	for i, u := range plain {
		if got, ok := v.uid(uint32(i + 1)); !ok || got != u {
			t.Errorf("uid(%d) = %d, %v, want %d", i+1, got, ok, u)
		}
		if got, ok := v.seq(u); !ok || got != uint32(i+1) {
			t.Errorf("seq(%d) = %d, %v, want %d", u, got, ok, i+1)
		}
	}
	for u := imap.UID(0); u <= top+3; u++ {
		if _, ok := v.seq(u); ok != slices.Contains(plain, u) {
			t.Errorf("seq(%d): %v", u, ok)
		}
	}
	for i := 1; i < len(v.runs); i++ {
		if v.runs[i-1].uid+imap.UID(v.count(i-1)) == v.runs[i].uid {
			t.Errorf("runs %d and %d touch", i-1, i)
		}
	}
	var last imap.UID
	if len(plain) > 0 {
		last = plain[len(plain)-1]
	}
	var seqs imap.SeqSet
	var uids, saved imap.UIDSet
	for range 1 + rnd.IntN(4) {
		seqs.AddRange(uint32(rnd.IntN(len(plain)+3)), uint32(rnd.IntN(len(plain)+3)))
		uids.AddRange(imap.UID(rnd.IntN(int(top)+4)), imap.UID(rnd.IntN(int(top)+4)))
		saved.AddNum(imap.UID(1 + rnd.IntN(int(top)+4)))
	}
	got, err := v.resolve(seqs, nil)
	want, ok := plainSeqs(seqs, plain)
	if ok != (err == nil) || !slices.Equal(flat(t, v, got), want) {
		t.Errorf("%v of %v: got %v, %v; want %v, %v", seqs, plain, got, err, want, ok)
	}
	got, err = v.resolve(uids, nil)
	if want := plainUIDs(uids, plain, last); err != nil || !slices.Equal(flat(t, v, got), want) {
		t.Errorf("UID %v of %v: got %v, %v; want %v", uids, plain, got, err, want)
	}
	got, err = v.resolve(imap.SearchRes(), saved)
	if want := plainUIDs(saved, plain, last); err != nil || !slices.Equal(flat(t, v, got), want) {
		t.Errorf("$ = %v of %v: got %v, %v; want %v", saved, plain, got, err, want)
	}
}

// plainSeqs resolves a set of sequence numbers by looking at every message.
func plainSeqs(set imap.SeqSet, plain []imap.UID) ([]imap.UID, bool) {
	n := uint32(len(plain))
	if n == 0 && set.String() == "1:*" {
		return nil, true
	}
	in := make([]bool, n+1)
	for _, r := range set {
		first, last := star(r.Start, n), star(r.Stop, n)
		for i := min(first, last); i <= max(first, last); i++ {
			if i == 0 || i > n {
				return nil, false
			}
			in[i] = true
		}
	}
	var out []imap.UID
	for i, u := range plain {
		if in[i+1] {
			out = append(out, u)
		}
	}
	return out, true
}

// plainUIDs resolves a set of UIDs by looking at every message.
func plainUIDs(set imap.UIDSet, plain []imap.UID, last imap.UID) (out []imap.UID) {
	for _, u := range plain {
		for _, r := range set {
			first, stop := star(r.Start, last), star(r.Stop, last)
			if min(first, stop) <= u && u <= max(first, stop) {
				out = append(out, u)
				break
			}
		}
	}
	return out
}

// flat lists ranges and checks their form.
func flat(t *testing.T, v *view, ranges []imap.UIDRange) (out []imap.UID) {
	for i, r := range ranges {
		if r.Start == 0 || r.Stop < r.Start || i > 0 && r.Start <= ranges[i-1].Stop+1 {
			t.Errorf("ranges %v are not in normal form", ranges)
		}
	}
	for seq, u := range v.each(ranges) {
		if n, ok := v.seq(u); !ok || n != seq {
			t.Errorf("each: %d has number %d, not %d", u, n, seq)
		}
		out = append(out, u)
	}
	return out
}

func TestViewOrder(t *testing.T) {
	if _, err := newView([]imap.UID{1, 3, 2}); !errors.Is(err, errViewOrder) {
		t.Error(err)
	}
	v, _ := newView([]imap.UID{5})
	for _, err := range []error{v.append(6, 6), v.append(5), v.append(0), v.appendRange(5, 9), v.appendRange(9, 8)} {
		if !errors.Is(err, errViewOrder) {
			t.Error(err)
		}
	}
	if v.len() != 1 {
		t.Error("something was added")
	}
}

// TestViewTop: the largest UIDs there are do not overflow.
func TestViewTop(t *testing.T) {
	const top = ^imap.UID(0)
	v, err := newView([]imap.UID{1, top - 1, top})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := v.resolve(imap.UIDSet{{Start: 1, Stop: top}}, nil)
	if !slices.Equal(flat(t, v, got), []imap.UID{1, top - 1, top}) {
		t.Error(got)
	}
	if n, ok := v.seq(top); n != 3 || !ok {
		t.Error(n, ok)
	}
}

// TestViewIsCompact: messages without a gap cost a few bytes together.
func TestViewIsCompact(t *testing.T) {
	v := new(view)
	for u := imap.UID(1); u <= 10_000; u++ {
		v.append(u)
	}
	if size := cap(v.runs) * int(unsafe.Sizeof(run{})); size > 64 {
		t.Errorf("10,000 messages cost %d bytes", size)
	}
}

func BenchmarkViewResolve(b *testing.B) {
	v := new(view)
	v.appendRange(1, 10_000)
	var gone []imap.UID
	for u := imap.UID(1); u < 10_000; u += 10 {
		gone = append(gone, u)
	}
	v.expunge(gone)
	set := imap.SeqSet{{Start: 1}}
	for b.Loop() {
		n := 0
		ranges, _ := v.resolve(set, nil)
		for range v.each(ranges) {
			n++
		}
	}
}
