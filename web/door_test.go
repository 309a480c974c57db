package web_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern/web"
)

// door serves on loopback until the test's end, with a certificate for example.com.
func door(t *testing.T, serve func(*web.Server, net.Listener) error) (addr string, roots *x509.CertPool) {
	t.Helper()
	other := httptest.NewTLSServer(nil) // has a certificate to borrow
	defer other.Close()
	roots = x509.NewCertPool()
	roots.AddCert(other.Certificate())
	s := web.New(web.Config{
		Host: "example.com", TLS: &tls.Config{Certificates: other.TLS.Certificates}, ALPN: "acme-tls/1", Ports: func() web.Ports { return web.Ports{} },
		Domain: func(context.Context, string) (web.Domain, error) { return web.Domain{}, web.ErrUnknown },
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serve(s, l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), roots
}

// says sends bytes and reads until the other end hangs up.
func says(t *testing.T, conn net.Conn, text string) string {
	t.Helper()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(conn)
	return string(b)
}

// TestCO1_DoorSpeaksTLS: port 443 speaks TLS from 1.2 on and HTTP/1.1, and a handshake for a challenge is all there is to
// its connection (RFC 8737, section 3).
func TestCO1_DoorSpeaksTLS(t *testing.T) {
	addr, roots := door(t, (*web.Server).ServeTLS)
	dial := func(c *tls.Config) (*tls.Conn, error) {
		c.RootCAs, c.ServerName = roots, "example.com"
		return tls.Dial("tcp", addr, c)
	}
	if conn, err := dial(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
	conn, err := dial(&tls.Config{NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("protocol %q", p)
	}
	if answer := says(t, conn, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 404 ") {
		t.Errorf("%q", answer)
	}
	if conn, err = dial(&tls.Config{NextProtos: []string{"acme-tls/1"}}); err != nil {
		t.Fatal(err)
	}
	if answer := says(t, conn, ""); answer != "" {
		t.Errorf("after the handshake of a challenge: %q", answer)
	}
}

// TestDoorIsBounded: one network has a bounded number of connections, a head has a bounded length, and who says nothing is
// hung up on.
func TestDoorIsBounded(t *testing.T) {
	addr, _ := door(t, (*web.Server).Serve)
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	if answer := says(t, dial(), "GET / HTTP/1.1\r\nHost: a.test\r\nX: "+strings.Repeat("x", 16<<10)+"\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 431 ") {
		t.Errorf("a long head: %q", answer)
	}
	if answer := says(t, dial(), "GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
		t.Errorf("a host that is no name: %q", answer)
	}
	// All places are taken; who comes then is hung up on at once, and may come again when somebody has left.
	var held []net.Conn
	for range web.PerNetwork {
		c := dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil { // it has its place
			t.Fatal(err)
		}
		held = append(held, c)
	}
	if n, err := dial().Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("one more than the limit has a place")
	}
	held[0].Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c := dial()
		io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		n, _ := c.Read(make([]byte, 1))
		c.Close()
		if n == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a place that was given back is not given again")
		}
	}
}
