package nameserver_test

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"postern/dns"
	"postern/dns/nameserver"
)

// startPublic is start with the limits of the Internet.
func startPublic(t testing.TB, zones ...nameserver.Zone) *nameserver.Server {
	t.Helper()
	s := nameserver.NewPublic(nameserver.Options{Rate: nameserver.PublicRate})
	run(t, s, zones...)
	return s
}

// hostile makes packets: questions in all states of disrepair, and noise.
func hostile(r *rand.Rand, query []byte) []byte {
	switch r.IntN(4) {
	case 0:
		return query
	case 1: // some octets are others
		b := append([]byte(nil), query...)
		for range 1 + r.IntN(4) {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
		return b
	case 2: // it ends in the middle
		return query[:r.IntN(len(query))]
	}
	b := make([]byte, r.IntN(1400))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestFlood: while strangers send what they like as fast as they can, over UDP and
// TCP, a resolver in another network gets every answer, one in theirs gets them as
// well, over TCP where it must, and the server needs no more memory or goroutines.
func TestFlood(t *testing.T) {
	s := startPublic(t, lab)
	query, err := new(mdns.Msg).SetQuestion("example.com.", mdns.TypeMX).Pack()
	if err != nil {
		t.Fatal(err)
	}
	c, err := dns.NewClient(dns.Config{Servers: []string{s.Addr().String()}, TryTimeout: 2 * time.Second, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i := range 4 {
		wg.Go(func() { floodUDP(t, s.Addr(), query, uint64(i), done) })
		wg.Go(func() { floodTCP(t, s.Addr(), query, uint64(i), done) })
	}
	most := 0
	for i := range 100 {
		if a, err := askFrom(net.IPv4(127, 7, 7, 7), s.Addr(), query); err != nil || len(a.Answer) != 2 {
			t.Errorf("another network, question %d: %v, %v", i, a, err)
		}
		if i%10 == 0 {
			a, err := c.LookupMX(t.Context(), "example.com")
			for tries := 0; errors.Is(err, os.ErrDeadlineExceeded) && tries < 3; tries++ {
				a, err = c.LookupMX(t.Context(), "example.com")
			}
			if err != nil || len(a.Records) != 2 {
				t.Errorf("the same network, question %d: %v, %v", i, a, err)
			}
		}
		most = max(most, runtime.NumGoroutine())
		time.Sleep(60 * time.Millisecond) // a resolver's pace: under the limit of its own network
	}
	close(done)
	wg.Wait()
	if limit := goroutines + 300; most > limit {
		t.Errorf("%d goroutines, where there were %d", most, goroutines)
	}
	if after := heap(); after > before+8<<20 {
		t.Errorf("%d bytes in use, and %d before", after, before)
	}
}

// heap is what is in use after all that can be collected was.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func floodUDP(t *testing.T, at netip.AddrPort, query []byte, seed uint64, done <-chan struct{}) {
	conn, err := net.Dial("udp", at.String())
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	r := rand.New(rand.NewPCG(seed, 0))
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		default:
			conn.Write(hostile(r, query))
		}
		if n%16 == 0 {
			time.Sleep(time.Millisecond) // two processors, and the one who is flooded needs some of them
		}
	}
}

// floodTCP opens connections, says something, and leaves most of them.
func floodTCP(t *testing.T, at netip.AddrPort, query []byte, seed uint64, done <-chan struct{}) {
	r := rand.New(rand.NewPCG(seed, 1))
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
		}
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			continue
		}
		packet := hostile(r, query)
		conn.Write(append([]byte{byte(len(packet) >> 8), byte(len(packet))}, packet...))
		if open = append(open, conn); len(open) > 200 {
			open[0].Close()
			open = open[1:]
		}
	}
}

// askFrom asks over UDP from an address, as often as a resolver would.
func askFrom(ip net.IP, at netip.AddrPort, query []byte) (*mdns.Msg, error) {
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: ip}, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	buf := make([]byte, 4096)
	for range 5 {
		conn.Write(query)
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue // the kernel's buffer was full
		}
		if err != nil {
			return nil, err
		}
		m := new(mdns.Msg)
		return m, m.Unpack(buf[:n])
	}
	return nil, os.ErrDeadlineExceeded
}

// TestLimitedThenOverTCP: whoever asks too often hears that replies are cut, and over
// TCP the whole answer.
func TestLimitedThenOverTCP(t *testing.T) {
	s := startPublic(t, lab)
	query, _ := new(mdns.Msg).SetQuestion("example.com.", mdns.TypeMX).Pack()
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 200 {
		conn.Write(query)
	}
	whole, cut := 0, 0
	buf := make([]byte, 4096)
	for {
		conn.SetReadDeadline(time.Now().Add(time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			break
		}
		m := new(mdns.Msg)
		if err := m.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		if m.Truncated && n <= len(query) && len(m.Answer) == 0 {
			cut++
		} else if len(m.Answer) == 2 {
			whole++
		}
	}
	if whole < 1 || cut < 1 {
		t.Errorf("%d whole answers and %d that were cut, of 200", whole, cut)
	}
	if r := ask(t, s, "tcp", "example.com", mdns.TypeMX); len(r.Answer) != 2 {
		t.Errorf("over TCP: %v", r)
	}
}

// perSecond reports queries by the wall clock, and what one costs in time of a
// processor, the asker's half included: that figure holds on a busy machine too.
func perSecond(b *testing.B) func() {
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	return func() {
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "queries/s")
		b.ReportMetric(float64(spent()-before)/float64(b.N), "cpu-ns/op")
	}
}

// benchZone is a zone as a domain has it.
func benchZone() nameserver.Zone {
	z := lab
	z.Records = append([]nameserver.Record{
		{Name: "s._domainkey.example.com", Type: nameserver.TXT, TTL: ttl, Data: "v=DKIM1; k=rsa; p=" + strings.Repeat("A", 392)},
	}, z.Records...)
	return z
}

// BenchmarkUDP asks from 64 sockets at a time, each for the next when it has its answer.
func BenchmarkUDP(b *testing.B) {
	s := start(b, benchZone())
	for name, qtype := range map[string]uint16{"example.com.": mdns.TypeMX, "s._domainkey.example.com.": mdns.TypeTXT, "absent.example.com.": mdns.TypeA} {
		q := new(mdns.Msg).SetQuestion(name, qtype)
		q.SetEdns0(1232, true)
		query, _ := q.Pack()
		b.Run(mdns.TypeToString[qtype], func(b *testing.B) {
			defer perSecond(b)()
			b.SetParallelism(64 / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				conn, err := net.Dial("udp", s.Addr().String())
				if err != nil {
					b.Error(err)
					return
				}
				defer conn.Close()
				buf := make([]byte, 2048)
				for pb.Next() {
					conn.SetReadDeadline(time.Now().Add(2 * time.Second))
					conn.Write(query)
					if _, err := conn.Read(buf); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkTCP asks over 16 connections, with 32 queries on their way in each.
func BenchmarkTCP(b *testing.B) {
	s := start(b, benchZone())
	const window = 32
	query := framed(b, 1, "example.com.", mdns.TypeMX)
	conn := dial(b, s)
	conn.Write(query)
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		b.Fatal(err)
	}
	answer := 2 + int(binary.BigEndian.Uint16(length[:]))
	defer perSecond(b)()
	b.SetParallelism(16 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 64<<10)
		conn, left := dial(b, s), 256
		for {
			n := 0
			for n < window && pb.Next() {
				n++
			}
			if n == 0 {
				return
			}
			if left < n { // a connection has an end
				conn.Close()
				conn, left = dial(b, s), 256
			}
			left -= n
			var all []byte
			for range n {
				all = append(all, query...)
			}
			conn.Write(all)
			if _, err := io.ReadAtLeast(conn, buf[:n*answer], n*answer); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkRespond is what an answer costs without the network.
func BenchmarkRespond(b *testing.B) {
	s := start(b, benchZone())
	query := framed(b, 1, "example.com.", mdns.TypeMX)[2:]
	b.ReportAllocs()
	defer perSecond(b)()
	for b.Loop() {
		if nameserver.Respond(s, query) == nil {
			b.Fatal("no reply")
		}
	}
}
