package nameserver

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

// TestRate: how many of a hundred equal replies are sent whole.
func TestRate(t *testing.T) {
	const second = int64(time.Second)
	l := newLimiter(Rate{Network: 200, Name: 20})
	ada, bob := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.3.1")
	count := func(now int64, client netip.Addr, k kind, name string) (sent int) {
		for range 100 {
			if l.allow(now, client, k, name) {
				sent++
			}
		}
		return sent
	}
	if got := count(1, ada, kindAnswer, "example.com"); got != 20 {
		t.Errorf("the first second: %d", got)
	}
	if got := count(1, netip.MustParseAddr("192.0.2.200"), kindAnswer, "example.com"); got != 0 {
		t.Errorf("another address of the network: %d", got)
	}
	if got := count(1, bob, kindAnswer, "example.com"); got != 20 {
		t.Errorf("another network: %d", got)
	}
	if got := count(1, bob, kindAbsence, "example.com"); got != 20 {
		t.Errorf("another kind of reply: %d", got)
	}
	if got := count(1+second/2, ada, kindAnswer, "example.com"); got != 10 {
		t.Errorf("half a second later: %d", got)
	}
	if got := count(1+10*second, ada, kindAnswer, "example.com"); got != 20 {
		t.Errorf("much later: %d", got) // what was not used is not saved up
	}
	six := netip.MustParseAddr("2001:db8:0:ff::1")
	sent := 0
	for i := range 30 {
		sent += count(1, six, kindAnswer, string(rune('a'+i)))
	}
	if sent != 200 {
		t.Errorf("one network and many names: %d", sent)
	}
	if got := count(1, netip.MustParseAddr("2001:db8:0:1::1"), kindAnswer, "x"); got != 0 {
		t.Errorf("the same /56: %d", got)
	}
	if got := count(1, netip.MustParseAddr("2001:db8:0:100::1"), kindAnswer, "x"); got != 20 {
		t.Errorf("another /56: %d", got)
	}
}

// TestRateOfForgedNetworks: queries in the name of millions of networks take no
// more memory, and do not free the one that is over its rate.
func TestRateOfForgedNetworks(t *testing.T) {
	l := newLimiter(PublicRate)
	if size := unsafe.Sizeof(*l); size > 2<<20 {
		t.Errorf("the table has %d bytes", size)
	}
	victim := netip.MustParseAddr("198.51.100.1")
	sent := 0
	for i := range uint32(100_000) {
		if i%10 == 0 && l.allow(1, victim, kindAnswer, "example.com") {
			sent++
		}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], i<<8)
		l.allow(1, netip.AddrFrom4(b), kindAnswer, "example.com")
	}
	if sent > 2*PublicRate.Name {
		t.Errorf("%d replies to one network in a second, of 10000", sent)
	}
}

func BenchmarkRate(b *testing.B) {
	l := newLimiter(PublicRate)
	b.RunParallel(func(pb *testing.PB) {
		for i := uint32(0); pb.Next(); i++ {
			var a [4]byte
			binary.BigEndian.PutUint32(a[:], i*2654435761)
			l.allow(int64(i), netip.AddrFrom4(a), kindAnswer, "example.com")
		}
	})
}
