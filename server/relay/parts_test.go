package relay

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

func TestAbsencesAreBounded(t *testing.T) {
	now := time.Unix(0, 0)
	a := newAbsences(func() time.Time { return now })
	for i := range 2 * maxAbsences {
		a.failed(netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, byte(i >> 16), byte(i >> 8), byte(i)}), 25))
	}
	if len(a.m) != maxAbsences {
		t.Errorf("%d entries", len(a.m))
	}
	host := netip.MustParseAddrPort("192.0.2.1:25")
	for range 20 {
		a.failed(host)
		now = a.m[host].until
	}
	if a.m[host].length != maxAbsence {
		t.Errorf("length %s", a.m[host].length)
	}
	now = now.Add(maxAbsence) // long after: begins anew
	if a.failed(host); a.m[host].length != firstAbsence {
		t.Errorf("length %s", a.m[host].length)
	}
}

// TestAddressesTakeTurns: however many addresses of one family a host has, the other
// is among the first that are tried.
func TestAddressesTakeTurns(t *testing.T) {
	var ips []netip.Addr
	for _, s := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "::ffff:192.0.2.4", "2001:db8::1", "192.0.2.5"} {
		ips = append(ips, netip.MustParseAddr(s))
	}
	got := inTurn(ips)
	if len(got) != len(ips) || got[0] != ips[0] || got[1] != ips[4] || got[2] != ips[1] || got[4] != ips[3] {
		t.Errorf("%v", got)
	}
	if got := inTurn(ips[4:5]); len(got) != 1 || got[0] != ips[4] {
		t.Errorf("%v", got)
	}
}

func TestSlotsLeaveNothingBehind(t *testing.T) {
	s := newSlots(2)
	one, _ := s.acquire(t.Context(), "a", 0)
	two, _ := s.acquire(t.Context(), "a", 0)
	if _, ok := s.acquire(t.Context(), "a", time.Millisecond); ok {
		t.Error("a third slot of two")
	}
	other, ok := s.acquire(t.Context(), "b", 0)
	if !ok {
		t.Error("keys share slots")
	}
	one()
	three, ok := s.acquire(t.Context(), "a", 0)
	if !ok {
		t.Error("a released slot is gone")
	}
	two()
	three()
	other()
	if len(s.keys) != 0 {
		t.Errorf("%d keys", len(s.keys))
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{
		"250 ok\r\n", "250-a\r\n250 b\r\n", "550 5.1.1 no\r\n", "250\r\n", "250-x\n250\n", "250-a\r\n251 b\r\n", "2", "\r\n",
		"421 4.7.0 \xff\x00\x1b\u202e\r\n", "550 5.1.1\r\n", "550 5.1.1111 x\r\n", "250-" + strings.Repeat("x", 5000) + "\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readReply(bufio.NewReaderSize(bytes.NewReader(data), maxReplyLine))
		slow, err2 := readReply(bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(data)), maxReplyLine))
		if (err == nil) != (err2 == nil) || r.code != slow.code || r.text != slow.text {
			t.Errorf("depends on how it arrives: %+v, %v and %+v, %v", r, err, slow, err2)
		}
		if err != nil {
			return
		}
		if r.code < 200 || r.code > 599 || len(r.lines) > maxReplyLines || len(r.text) > maxText || !utf8.ValidString(r.text) {
			t.Errorf("%+v", r)
		}
		if !isEnhanced(r.enhanced, r.code) {
			t.Errorf("code %d with %s", r.code, r.enhanced)
		}
		for _, c := range r.text {
			if c < ' ' || c == 0x7f {
				t.Errorf("control character in %q", r.text)
			}
		}
	})
}

// FuzzBody: whatever a message is, either it is refused, or what a strict
// receiver reads up to the only final dot is the message, octet by octet.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"", ".", ".\r\n", "a\r\n.\r\nb", "..\r\n.", "a\r", "\r\n", "a\n", "\r\r\n", "a\r\n\n.\r\n"} {
		f.Add(s, 1)
		f.Add(s, 100)
	}
	f.Fuzz(func(t *testing.T, mail string, size int) {
		var wire bytes.Buffer
		b := newBody(&wire)
		rest := mail
		for len(rest) > 0 {
			n := min(len(rest), max(1, size&0xff))
			if _, err := b.Write([]byte(rest[:n])); err != nil {
				if !errors.Is(err, errBareLine) {
					t.Fatal(err)
				}
				break
			}
			rest = rest[n:]
		}
		end, err := b.finish()
		bare := strings.ContainsAny(strings.ReplaceAll(mail, "\r\n", ""), "\r\n")
		if len(rest) > 0 || err != nil {
			if !bare {
				t.Errorf("%q was refused", mail)
			}
			return
		}
		if bare {
			t.Fatalf("%q was let pass", mail)
		}
		wire.WriteString(end)
		got, after, ok := receive(wire.String())
		if want := mail + map[bool]string{true: "\r\n"}[!strings.HasSuffix(mail, "\r\n") && mail != ""]; !ok || got != want || after != "" {
			t.Errorf("%q arrives as %q, %q behind", mail, got, after)
		}
		if b.n != int64(len(mail)) || b.sum() != sha256.Sum256([]byte(mail)) {
			t.Error("count or digest")
		}
	})
}

// receive is the other side of RFC 5321, section 4.5.2.
func receive(wire string) (mail, after string, ok bool) {
	var b strings.Builder
	for {
		line, rest, found := strings.Cut(wire, "\r\n")
		if !found {
			return "", "", false
		}
		if line == "." {
			return b.String(), rest, true
		}
		b.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
		wire = rest
	}
}

func BenchmarkBody4KB(b *testing.B) {
	mail := []byte(strings.Repeat(strings.Repeat("x", 78)+"\r\n", 51))
	var sink bytes.Buffer
	b.SetBytes(int64(len(mail)))
	for b.Loop() {
		sink.Reset()
		w := newBody(&sink)
		w.Write(mail)
	}
}
