package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// second is a header of version 2.
func second(command, family byte, addresses []byte, length int) string {
	b := []byte("\r\n\r\n\x00\r\nQUIT\n")
	b = append(b, 0x20|command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	return string(append(b, addresses...))
}

func four(src string, port uint16) []byte {
	a := netip.MustParseAddr(src).As4()
	b := append(a[:], 192, 0, 2, 25)
	b = binary.BigEndian.AppendUint16(b, port)
	return binary.BigEndian.AppendUint16(b, 25)
}

func six(src string, port uint16) []byte {
	a := netip.MustParseAddr(src).As16()
	b := append(a[:], make([]byte, 16)...)
	b = binary.BigEndian.AppendUint16(b, port)
	return binary.BigEndian.AppendUint16(b, 25)
}

// TestHeaders: what a balancer may say, and what nobody may (proxy-protocol.txt,
// sections 2.1 and 2.2).
func TestHeaders(t *testing.T) {
	tlv := append(four("198.51.100.7", 4711), 0x20, 0, 3, 1, 2, 3)
	for name, c := range map[string]struct{ header, want string }{
		"version 1, IPv4":          {"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\r\n", "198.51.100.7:4711"},
		"version 1, IPv6":          {"PROXY TCP6 2001:db8::7 2001:db8::25 4711 25\r\n", "[2001:db8::7]:4711"},
		"version 1, unknown":       {"PROXY UNKNOWN\r\n", "balancer"},
		"version 1, unknown, long": {"PROXY UNKNOWN 198.51.100.7 192.0.2.25 4711 25\r\n", "balancer"},
		"version 2, IPv4":          {second(1, 0x11, four("198.51.100.7", 4711), 12), "198.51.100.7:4711"},
		"version 2, IPv6":          {second(1, 0x21, six("2001:db8::7", 4711), 36), "[2001:db8::7]:4711"},
		"version 2, mapped":        {second(1, 0x21, six("::ffff:198.51.100.7", 4711), 36), "198.51.100.7:4711"},
		"version 2, more":          {second(1, 0x11, tlv, len(tlv)), "198.51.100.7:4711"},
		"version 2, local":         {second(0, 0x00, nil, 0), "balancer"},
		"version 2, local, more":   {second(0, 0x11, four("198.51.100.7", 4711), 12), "balancer"},

		"nothing":                {"", "error"},
		"no header":              {"EHLO client.example.org\r\n", "error"},
		"half a signature":       {"PROX", "error"},
		"a longer word":          {"PROXYING TCP4 198.51.100.7 192.0.2.25 4711 25\r\n", "error"},
		"no end":                 {"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25" + strings.Repeat(" ", 100), "error"},
		"LF alone":               {"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\n", "error"},
		"one address":            {"PROXY TCP4 198.51.100.7 4711 25\r\n", "error"},
		"another family":         {"PROXY TCP4 2001:db8::7 192.0.2.25 4711 25\r\n", "error"},
		"a name":                 {"PROXY TCP4 localhost 192.0.2.25 4711 25\r\n", "error"},
		"a port beyond":          {"PROXY TCP4 198.51.100.7 192.0.2.25 65536 25\r\n", "error"},
		"a negative port":        {"PROXY TCP4 198.51.100.7 192.0.2.25 -1 25\r\n", "error"},
		"port 0":                 {"PROXY TCP4 198.51.100.7 192.0.2.25 0 25\r\n", "error"},
		"nobody's address":       {"PROXY TCP4 0.0.0.0 192.0.2.25 4711 25\r\n", "error"},
		"a group's address":      {"PROXY TCP4 224.0.0.1 192.0.2.25 4711 25\r\n", "error"},
		"datagrams, version 1":   {"PROXY UDP4 198.51.100.7 192.0.2.25 4711 25\r\n", "error"},
		"datagrams":              {second(1, 0x12, four("198.51.100.7", 4711), 12), "error"},
		"a Unix socket":          {second(1, 0x31, make([]byte, 216), 216), "error"},
		"a family that is none":  {second(1, 0x41, four("198.51.100.7", 4711), 12), "error"},
		"a command that is none": {second(2, 0x11, four("198.51.100.7", 4711), 12), "error"},
		"another version":        {strings.Replace(second(1, 0x11, four("198.51.100.7", 4711), 12), "\x21", "\x31", 1), "error"},
		"cut addresses":          {second(1, 0x11, four("198.51.100.7", 4711)[:8], 8), "error"},
		"a length that lies":     {second(1, 0x11, four("198.51.100.7", 4711), 500), "error"},
		"a length beyond":        {second(1, 0x11, append(four("198.51.100.7", 4711), make([]byte, 60_000)...), 60_012), "error"},
		"a long local":           {second(0, 0x00, make([]byte, 60_000), 60_000), "error"},
	} {
		t.Run(name, func(t *testing.T) {
			const first = "EHLO client.example.org\r\n"
			text := c.header
			if c.want != "error" {
				text += first
			}
			client, rest, err := readHeader(strings.NewReader(text))
			switch {
			case c.want == "error":
				if err == nil {
					t.Errorf("%s is believed", client)
				}
				return
			case err != nil:
				t.Fatal(err)
			case string(rest) != first:
				t.Errorf("the client's first words are %q", rest)
			}
			if got := client.String(); got != c.want && (c.want != "balancer" || client.IsValid()) {
				t.Errorf("the client is %s, want %s", got, c.want)
			}
		})
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\r\nEHLO x\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(second(1, 0x11, four("198.51.100.7", 4711), 12)))
	f.Add([]byte(second(1, 0x21, six("2001:db8::7", 4711), 36) + "EHLO x\r\n"))
	f.Add([]byte(second(0, 0, nil, 0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		client, rest, err := readHeader(in)
		if err != nil {
			return
		}
		if !bytes.HasSuffix(b[:len(b)-in.Len()], rest) {
			t.Errorf("rest %q is not what followed", rest)
		}
		if client.IsValid() && (client.Addr().Is4In6() || client.Addr().IsUnspecified() || client.Port() == 0) {
			t.Errorf("client %s", client)
		}
	})
}

func TestNetworks(t *testing.T) {
	n, err := ParseNetworks([]string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{"10.255.0.1": true, "11.0.0.1": false, "192.0.2.7": true, "192.0.2.8": false,
		"2001:db8::1": true, "::1": true, "::ffff:10.0.0.1": true, "fe80::1%eth0": false} {
		if n.Has(netip.MustParseAddr(addr)) != want {
			t.Errorf("%s: %v", addr, !want)
		}
	}
	for _, text := range []string{"", "10.0.0.0/33", "10.0.0.1/8", "0.0.0.0/0", "::/0", "::ffff:10.0.0.0/104", "balancer.example.com", "fe80::1%eth0"} {
		if got, err := ParseNetworks([]string{text}); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	if _, err := ParseNetworks([]string{"0.0.0.0/0"}); !errors.Is(err, errEverybody) {
		t.Error(err)
	}
}

// front listens on loopback as a door does; clients from 127.0.0.1 are a balancer's.
func front(t *testing.T) (l net.Listener, refused *atomic.Int64) {
	t.Helper()
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused = new(atomic.Int64)
	l = Listen(in, Networks{netip.MustParsePrefix("127.0.0.1/32")}, func(netip.Addr) { refused.Add(1) })
	t.Cleanup(func() { l.Close() })
	return l, refused
}

// from connects from an address of this machine, and says something.
func from(t *testing.T, l net.Listener, ip, text string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// accepted is the next connection, and what its client said.
func accepted(t *testing.T, l net.Listener, n int) (remote, text string) {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	return host, string(b)
}

// TestWhoIsBelieved: the same bytes are a header from the balancer, and from anybody
// else the client's own input.
func TestWhoIsBelieved(t *testing.T) {
	l, refused := front(t)
	const header = "PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\r\n"
	from(t, l, "127.0.0.1", header+"hello")
	if remote, text := accepted(t, l, 5); remote != "198.51.100.7" || text != "hello" {
		t.Errorf("through the balancer: %s says %q", remote, text)
	}
	from(t, l, "127.0.0.9", header)
	if remote, text := accepted(t, l, len(header)); remote != "127.0.0.9" || text != header {
		t.Errorf("from elsewhere: %s says %q", remote, text)
	}
	c := from(t, l, "127.0.0.1", "hello, I am no balancer\r\n")
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the balancer's network is served without a header")
	}
	if refused.Load() != 1 {
		t.Errorf("%d were refused, want 1", refused.Load())
	}
}

// TestAcceptWaitsForNobody: connections that say nothing hold up no other, and end.
func TestAcceptWaitsForNobody(t *testing.T) {
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan netip.Addr, 20)
	p := &listener{Listener: in, from: Networks{netip.MustParsePrefix("127.0.0.1/32")}, refused: func(a netip.Addr) { refused <- a }, wait: 300 * time.Millisecond,
		ready: make(chan net.Conn), failed: make(chan error), done: make(chan struct{}), waiting: make(chan struct{}, 10)}
	go p.run()
	defer p.Close()
	for i := range 10 {
		from(t, p, "127.0.0.1", []string{"", "PROXY TCP4 "}[i%2]) // and no more
	}
	from(t, p, "127.0.0.9", "hello")
	if _, text := accepted(t, p, 5); text != "hello" {
		t.Errorf("%q", text)
	}
	for range 10 {
		<-refused
	}
	from(t, p, "127.0.0.1", "PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\r\nhello")
	if remote, _ := accepted(t, p, 5); remote != "198.51.100.7" {
		t.Errorf("the client is %s", remote)
	}
}

// TestClose: who waits for a connection or with one is told.
func TestClose(t *testing.T) {
	l, _ := front(t)
	c := from(t, l, "127.0.0.9", "hello")
	waits := from(t, l, "127.0.0.1", "")
	ended := make(chan error)
	l.Close()
	go func() { _, err := l.Accept(); ended <- err }()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	for _, c := range []net.Conn{c, waits} {
		c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a connection outlives its listener")
		}
	}
}
