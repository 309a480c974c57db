package smtpd

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/server/message"
	"postern/storage"
)

// recorder is a desk that takes everything and remembers the senders.
type recorder struct {
	mu      sync.Mutex
	senders []string
}

func (r *recorder) sender(_ context.Context, from message.Path) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.senders = append(r.senders, from.String())
	return nil
}
func (r *recorder) recipient(context.Context, message.Path) error { return nil }
func (r *recorder) deliver(context.Context, *storage.Stage) (string, error) {
	return "recorded", nil
}
func (r *recorder) reset() {}
func (r *recorder) close() {}

// record opens a door of port 25's kind whose desk is a recorder.
func (h *house) record(t testing.TB) (addr string, r *recorder) {
	t.Helper()
	r = &recorder{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	go h.serve(l, &door{name: "mx", admission: &h.receiving, desk: func(*conn) desk { return r }})
	return l.Addr().String(), r
}

const marker = "MAIL FROM:<x@marker.invalid>\r\n"

// FuzzSession sends whatever to a server. It must not fall over, every line of its replies must be a reply, and nothing
// of a message may run as a command: a message is stuffed with a command that would show.
func FuzzSession(f *testing.F) {
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n"), []byte("a\n.\r\n\r.\r\n"), uint16(3))
	f.Add([]byte("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT 4\r\nabcdBDAT 3 LAST\r\nxyzNOOP\r\nRSET\r\n"), []byte("\r\n.\r\n"), uint16(0))
	f.Add([]byte("EHLO x\r\nSTARTTLS\r\nEHLO y\r\n"), []byte("..\r\n.\r"), uint16(9))
	f.Add([]byte("EHLO x\r\nAUTH LOGIN\r\nYQ==\r\nYQ==\r\nAUTH PLAIN AGEAYg==\r\nAUTH PLAIN\r\n*\r\n"), []byte("\x00"), uint16(1))
	f.Add([]byte("VRFY x\r\nHELP\r\nEXPN\r\nNOOP\r\n\r\nMAIL FROM:<\"a b\"@c.test> SIZE=3 BODY=8BITMIME\r\n"), []byte("x\r"), uint16(65535))
	h := newHouse(f, 0, func(l *Limits) {
		l.Command, l.Stall, l.Handshake = 2*time.Second, 2*time.Second, 2*time.Second
		l.Message = 1 << 20
		l.Delay, l.Guesses = 0, 1<<30
		l.Conns, l.PerAddress = 1<<20, 1<<20
	})
	addr, r := h.record(f)
	f.Fuzz(func(t *testing.T, commands, body []byte, cut uint16) {
		talk(t, addr, commands, nil)
		talk(t, h.addrs["submissions"], commands, &tls.Config{InsecureSkipVerify: true})
		r.mu.Lock()
		r.senders = nil
		r.mu.Unlock()
		checkMessage(t, addr, "DATA\r\n"+stuffed(body), 7)
		checkMessage(t, addr, chunks(body, int(cut)), 7)
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, s := range r.senders {
			if s != "a@b.test" {
				t.Fatalf("a line of the message ran as a command: %q", s)
			}
		}
	})
}

// stuffed is a message that holds the marker many times, as DATA wants it.
func stuffed(body []byte) string {
	text := "\r\n" + marker + string(body) + "\r\n" + marker + string(body) + marker
	text = strings.ReplaceAll(text, "\r\n.", "\r\n..")
	return text + "\r\n.\r\n"
}

// chunks is such a message in two chunks, of which only the reply to the last is counted on.
func chunks(body []byte, cut int) string {
	text := marker + string(body) + marker
	cut = min(cut, len(text))
	return fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", cut, text[:cut], len(text)-cut, text[cut:])
}

// checkMessage sends one message and expects one reply to each command, n in all: banner, EHLO, MAIL, RCPT, two for the
// message, QUIT.
func checkMessage(t *testing.T, addr, data string, n int) {
	t.Helper()
	replies := talk(t, addr, []byte("EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n"+data+"QUIT\r\n"), nil)
	if len(replies) != n || !strings.HasPrefix(replies[n-1], "221 ") {
		t.Fatalf("%q was answered %q", data, replies)
	}
}

// talk sends bytes, says no more, and returns the last line of each reply.
func talk(t *testing.T, addr string, text []byte, config *tls.Config) (replies []string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	check(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(6 * time.Second))
	var stream io.ReadWriter = c
	closeWrite := c.(*net.TCPConn).CloseWrite
	if config != nil {
		tc := tls.Client(c, config)
		stream, closeWrite = tc, tc.CloseWrite
	}
	go func() {
		stream.Write(text)
		closeWrite()
	}()
	all, err := io.ReadAll(stream)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatalf("%q: no end", text)
	}
	for line := range strings.SplitAfterSeq(string(all), "\n") {
		if line == "" {
			continue
		}
		if !replyLine.MatchString(line) {
			t.Fatalf("%q: malformed reply %q", text, line)
		}
		if line[3] == ' ' {
			replies = append(replies, line)
		}
	}
	return replies
}
