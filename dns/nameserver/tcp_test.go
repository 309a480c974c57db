package nameserver_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"postern/dns/nameserver"
)

func dial(t testing.TB, s *nameserver.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

// framed is a query as TCP has it.
func framed(t testing.TB, id uint16, name string, qtype uint16) []byte {
	t.Helper()
	q := new(mdns.Msg).SetQuestion(name, qtype)
	q.Id = id
	wire, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
}

func hear(conn net.Conn) (*mdns.Msg, error) { return (&mdns.Conn{Conn: conn}).ReadMsg() }

// TestRFC7766_Pipelining: queries one behind the other, in pieces that have nothing
// to do with them, are all answered, in their order.
func TestRFC7766_Pipelining(t *testing.T) {
	conn := dial(t, start(t, lab))
	var all []byte
	for id := range uint16(100) {
		all = append(all, framed(t, id, "big.example.com.", mdns.TypeTXT)...)
	}
	go func() {
		for len(all) > 0 {
			n := min(len(all), 37)
			conn.Write(all[:n])
			all = all[n:]
		}
	}()
	for id := range uint16(100) {
		if r, err := hear(conn); err != nil || r.Id != id || len(r.Answer) != 1 {
			t.Fatalf("answer %d: %v, %v", id, r, err)
		}
	}
}

// TestRFC7766_Silence: one that asks nothing is put out, also when it began to.
func TestRFC7766_Silence(t *testing.T) {
	s := start(t, lab)
	begun := map[string]net.Conn{"": nil, "\x00": nil, "\x00\x1dabc": nil}
	for said := range begun {
		begun[said] = dial(t, s)
		io.WriteString(begun[said], said)
	}
	for said, conn := range begun {
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after %q: %v", said, err)
		}
	}
	// What is no query is the end of a connection, since where the next begins is anybody's guess.
	for what, said := range map[string]string{"a response": "\x00\x0c\x00\x01\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00", "a letter": "\xff\xffDear server"} {
		conn := dial(t, s)
		io.WriteString(conn, said)
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("an answer to %s", what)
		}
	}
}

// TestManyConnections: whoever holds connections open and says nothing loses the
// oldest of them, and shuts nobody out.
func TestManyConnections(t *testing.T) {
	s := start(t, lab)
	var idle []net.Conn
	for range 70 {
		idle = append(idle, dial(t, s))
	}
	if r := ask(t, s, "tcp", "mx.example.com", mdns.TypeA); len(r.Answer) != 1 {
		t.Error("no answer")
	}
	if _, err := idle[0].Read(make([]byte, 1)); err == nil {
		t.Error("the oldest is still open")
	}
	last := idle[len(idle)-1]
	last.Write(framed(t, 7, "mx.example.com.", mdns.TypeA))
	if r, err := hear(last); err != nil || r.Id != 7 {
		t.Errorf("the newest: %v, %v", r, err)
	}
}

// TestStop: a stop answers what was asked before, ends the silence of others, and
// leaves nobody behind.
func TestStop(t *testing.T) {
	s := nameserver.New()
	if err := s.SetZone(lab); err != nil {
		t.Fatal(err)
	}
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for i := range 20 {
		conn := dial(t, s)
		conn.Write(framed(t, 1, "mx.example.com.", mdns.TypeA))
		if _, err := hear(conn); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			conn.Write(framed(t, 2, "mx.example.com.", mdns.TypeA))
		}
		conns = append(conns, conn)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for i, conn := range conns {
		r, err := hear(conn)
		if i%2 == 0 && (err != nil || r.Id != 2) {
			t.Errorf("what was asked before the stop: %v, %v", r, err)
		}
		if i%2 == 1 && err == nil {
			t.Errorf("an answer to nothing: %v", r)
		}
	}
	if _, err := net.DialTimeout("tcp", s.Addr().String(), time.Second); err == nil {
		t.Error("it still listens")
	}
	if err := s.Stop(ctx); err != nil {
		t.Errorf("a second stop: %v", err)
	}
}

// TestEachNetworkHasItsShare: connections from one network do not put out those of
// another while there is room.
func TestEachNetworkHasItsShare(t *testing.T) {
	s := start(t, lab)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 7, 7, 7)}}
	other, err := d.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Skip("this machine has one loopback address: ", err)
	}
	defer other.Close()
	other.SetDeadline(time.Now().Add(30 * time.Second))
	other.Write(framed(t, 1, "mx.example.com.", mdns.TypeA))
	if _, err := hear(other); err != nil {
		t.Fatal(err)
	}
	for i := range 80 {
		conn := dial(t, s)
		conn.Write(framed(t, 1, fmt.Sprintf("x%d.wild.example.com.", i), mdns.TypeA))
		if _, err := hear(conn); err != nil {
			t.Fatal(err)
		}
	}
	other.Write(framed(t, 2, "mx.example.com.", mdns.TypeA))
	if r, err := hear(other); err != nil || r.Id != 2 {
		t.Errorf("the one of another network: %v, %v", r, err)
	}
}
