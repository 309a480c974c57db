package smtpd

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/server/directory"
	"postern/server/message"
	"postern/storage"
)

// TestCO1_TLS12OrNewer: no client can talk us into less.
func TestCO1_TLS12OrNewer(t *testing.T) {
	h := newHouse(t, 0, nil)
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := tls.Dial("tcp", h.addrs["submissions"], &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			c.Close()
		}
	}
}

// TestAC10_SubmissionNeedsTLS: without certificates there is no submission.
func TestAC10_SubmissionNeedsTLS(t *testing.T) {
	s := New(Config{Hostname: hostname})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	if s.ServeSubmission(l) == nil || s.ServeSubmissions(l) == nil {
		t.Error("served without TLS")
	}
}

// TestServeAfterShutdown: a listener that comes too late is closed.
func TestServeAfterShutdown(t *testing.T) {
	h := newHouse(t, 0, nil)
	check(t, h.Shutdown(t.Context()))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	if err := h.ServeMX(l); err != ErrServerClosed {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", h.addrs["mx"]); err == nil {
		t.Error("still listening")
	}
	check(t, h.Shutdown(t.Context()))
}

// broken is a desk that falls over.
type broken struct{ recorder }

func (*broken) sender(context.Context, message.Path) error { panic("secret") }

// TestPanicEndsOneConnection: and says nothing of why.
func TestPanicEndsOneConnection(t *testing.T) {
	h := newHouse(t, 0, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	go h.serve(l, &door{name: "mx", admission: &h.receiving, desk: func(*conn) desk { return &broken{} }})
	for range 2 {
		replies := talk(t, l.Addr().String(), []byte("EHLO x\r\nMAIL FROM:<>\r\nNOOP\r\n"), nil)
		if len(replies) != 3 || !strings.HasPrefix(replies[2], "421 4.") || strings.Contains(replies[2], "secret") {
			t.Errorf("%q", replies)
		}
	}
}

// TestClientThatDoesNotRead is cut when our replies do not fit anywhere any more.
func TestClientThatDoesNotRead(t *testing.T) {
	h := newHouse(t, 0, func(l *Limits) { l.Write, l.Commands = 200*time.Millisecond, 1<<30 })
	c, err := net.Dial("tcp", h.addrs["mx"])
	check(t, err)
	defer c.Close()
	c.(*net.TCPConn).SetReadBuffer(1 << 12)
	c.SetDeadline(time.Now().Add(20 * time.Second))
	block := []byte(strings.Repeat("NOOP\r\n", 10_000))
	for {
		if _, err := c.Write(block); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Error("never cut")
			}
			return
		}
	}
}

// TestRevocationBeatsDelivery: a message whose credential ends while it is being stored is not answered with 250.
func TestRevocationBeatsDelivery(t *testing.T) {
	h := newHouse(t, 0, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	var slow *stalled
	go h.serve(l, &door{name: "mx", admission: &h.receiving, desk: func(c *conn) desk { slow = &stalled{c: c}; return slow }})
	replies := talk(t, l.Addr().String(), []byte("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n"), nil)
	if last := replies[len(replies)-1]; len(replies) != 6 || !strings.HasPrefix(last, "421 4.7.0 ") {
		t.Errorf("%q", replies)
	}
}

// stalled is a desk whose storage waits until the session is killed.
type stalled struct {
	recorder
	c *conn
}

func (s *stalled) deliver(ctx context.Context, _ *storage.Stage) (string, error) {
	s.c.kill(byeRevoked)
	<-ctx.Done()
	return "", ctx.Err()
}

func TestRFC3848_ProtocolKeyword(t *testing.T) {
	for want, c := range map[string]*conn{
		"SMTP":       {},
		"ESMTP":      {extended: true},
		"ESMTPS":     {extended: true, tls: &tls.Conn{}},
		"ESMTPSA":    {extended: true, tls: &tls.Conn{}, authenticated: true},
		"UTF8SMTP":   {extended: true, tx: &transaction{utf8: true}},
		"UTF8SMTPSA": {extended: true, tx: &transaction{utf8: true}, tls: &tls.Conn{}, authenticated: true},
	} {
		if got := c.protocol(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// BenchmarkSessionDeliver is MAIL to 250 over loopback with everything behind it, in sessions that are held open.
func BenchmarkSessionDeliver(b *testing.B) {
	for _, senders := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(senders), func(b *testing.B) {
			h := newHouse(b, 0, nil)
			work := make(chan int)
			done := make(chan error, senders)
			for range senders {
				go func() { done <- deliverAll(h.addrs["mx"], work) }()
			}
			b.ResetTimer()
			for i := range b.N {
				work <- i
			}
			close(work)
			for range senders {
				check(b, <-done)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// deliverAll sends one message for each number, as a plain client does: no pipelining.
func deliverAll(addr string, work <-chan int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	in := bufio.NewReader(c)
	say := func(code, text string) error {
		if _, err := io.WriteString(c, text); err != nil {
			return err
		}
		for {
			line, err := in.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, code) {
				return fmt.Errorf("%.30q was answered %q, %v", text, line, err)
			}
			if line[3] == ' ' {
				return nil
			}
		}
	}
	if err := say("220", ""); err != nil {
		return err
	}
	if err := say("250", "EHLO client.example.net\r\n"); err != nil {
		return err
	}
	body := strings.Repeat("A line of text as people write it, of about this length, and no more.\r\n", 56)
	for i := range work {
		message := fmt.Sprintf("From: alice@example.net\r\nTo: %s\r\nSubject: %d\r\nMessage-ID: <%d.%p@example.net>\r\n\r\n%s.\r\n", support, i, i, c, body)
		for _, step := range [][2]string{{"250", "MAIL FROM:<alice@example.net>\r\n"}, {"250", "RCPT TO:<" + support + ">\r\n"}, {"354", "DATA\r\n"}, {"250", message}} {
			if err := say(step[0], step[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestAC11_TooManySessions: an agent that has taken all its sessions is told so, and to go away; another agent is not.
func TestAC11_TooManySessions(t *testing.T) {
	h := newHouse(t, 0, nil)
	for range directory.DefaultSessions {
		_, err := h.directory.Authenticate(t.Context(), directory.Attempt{
			Login: support, Secret: h.token, Remote: netip.MustParseAddr("192.0.2.1"), Door: "submission", TLS: "TLS1.3", Mechanism: "PLAIN"})
		check(t, err)
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + support + "\x00" + h.token))
	for range 3 { // a hostile client comes back
		replies := talk(t, h.addrs["submissions"], []byte("EHLO x\r\nAUTH PLAIN "+plain+"\r\nMAIL FROM:<"+support+">\r\n"),
			&tls.Config{InsecureSkipVerify: true})
		last := replies[len(replies)-1]
		if !strings.HasPrefix(last, "421 4.7.0 too many sessions of this credential") {
			t.Errorf("replies %q", replies)
		}
	}
	if n := len(h.events(t, "session.refused")); n != 3 {
		t.Errorf("AU-13: %d refusals on record, want 3", n)
	}
}
