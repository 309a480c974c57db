package imapd

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestListenerCaps: places are given back when a connection ends or logs in, and not before.
func TestListenerCaps(t *testing.T) {
	cases := map[string]struct {
		set   func(*Limits)
		why   Refusal
		login bool // the first two clients log in
	}{
		"full":                      {func(l *Limits) { l.Conns = 2 }, RefusedFull, true},
		"address":                   {func(l *Limits) { l.PerAddress = 2 }, RefusedAddress, true},
		"strangers":                 {func(l *Limits) { l.Strangers = 2 }, RefusedStrangers, false},
		"members are not strangers": {func(l *Limits) { l.Strangers = 2 }, 0, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			limits := DefaultLimits()
			c.set(&limits)
			h := newHouse(t, limits, nil)
			first := h.dial(t)
			second := h.dial(t)
			for _, conn := range []*tls.Conn{first, second} {
				if r := bufio.NewReader(conn); c.login {
					login(t, conn, r)
				} else {
					expect(t, r, "* OK")
				}
			}
			third, err := tls.Dial("tcp", h.Addr().String(), h.client)
			if c.why == 0 {
				if err != nil {
					t.Fatal(err)
				}
				third.Close()
				return
			}
			if err == nil {
				t.Fatal("a third connection came in")
			}
			if got := <-h.refused; got != c.why {
				t.Error(got)
			}
			first.Close()
			fourth := dialWhenFree(t, h)
			expect(t, bufio.NewReader(fourth), "* OK")
		})
	}
}

// dialWhenFree connects once the server has noticed that another connection ended.
func dialWhenFree(t *testing.T, h *house) *tls.Conn {
	for range 1000 {
		c, err := tls.Dial("tcp", h.Addr().String(), h.client)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			return c
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the place was not given back")
	return nil
}

// TestListenerSlowHandshake: a client that says nothing holds its place for as long as a handshake may take.
func TestListenerSlowHandshake(t *testing.T) {
	limits := DefaultLimits()
	limits.Handshake = 50 * time.Millisecond
	limits.Conns = 1
	h := newHouse(t, limits, nil)
	c, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.ReadAll(c)
	if got := <-h.refused; got != RefusedHandshake {
		t.Error(got)
	}
	expect(t, bufio.NewReader(dialWhenFree(t, h)), "* OK")
}

// TestAC10_ClearTextIsNotServed: what is not TLS gets no greeting and no reply.
func TestAC10_ClearTextIsNotServed(t *testing.T) {
	h := newHouse(t, DefaultLimits(), nil)
	c, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "a1 LOGIN u right\r\n")
	got, _ := io.ReadAll(c)
	if len(got) > 0 && got[0] != 21 { // a TLS alert
		t.Errorf("got %q", got)
	}
	select {
	case r := <-h.last:
		t.Error("a session was made:", r.noted())
	default:
	}
}

// TestListenerALPN: a client that names another protocol is refused in the handshake (ALPACA); one that names none, or
// ours, is not.
func TestListenerALPN(t *testing.T) {
	h := newHouse(t, DefaultLimits(), nil)
	for _, c := range []struct {
		protos []string
		ok     bool
	}{{nil, true}, {[]string{"imap"}, true}, {[]string{"h2", "http/1.1"}, false}} {
		config := h.client.Clone()
		config.NextProtos = c.protos
		conn, err := tls.Dial("tcp", h.Addr().String(), config)
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.protos, err)
		}
		if err == nil {
			conn.Close()
		}
	}
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7":       "192.0.2.7/32",
		"2001:db8:1:2::3": "2001:db8:1:2::/64",
	} {
		if got := network(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if network(netip.Addr{}).IsValid() {
		t.Error("no address has a network")
	}
}

// TestShutdown: clients that wait are told BYE; the listener comes back when all sessions have ended.
func TestShutdown(t *testing.T) {
	h := newHouse(t, DefaultLimits(), nil)
	var readers []*bufio.Reader
	for range 10 {
		conn := h.dial(t)
		r := bufio.NewReader(conn)
		login(t, conn, r)
		readers = append(readers, r)
	}
	h.shutdown(time.Minute)
	h.alive.Wait()
	for _, r := range readers {
		expect(t, r, "* BYE The server is going down\r\n")
	}
	if _, err := tls.Dial("tcp", h.Addr().String(), h.client); err == nil {
		t.Error("still accepting")
	}
}
