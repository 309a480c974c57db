package imapd

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// login reads the greeting and logs in.
func login(t testing.TB, conn *tls.Conn, r *bufio.Reader) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(conn, "l LOGIN u right\r\n")
	expect(t, r, "* OK ")
	expect(t, r, "l OK ")
}

// expect reads a line with the given start.
func expect(t testing.TB, r *bufio.Reader, start string) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, start) {
		t.Fatalf("got %q, %v; want %q", line, err, start)
	}
	return line
}

// TestByeNeverTearsAResponse holds the library to its bracket: a farewell that is asked for in the middle of a literal
// comes after the response that the literal is in. The literal is larger than every buffer.
func TestByeNeverTearsAResponse(t *testing.T) {
	for _, patient := range []bool{false, true} {
		t.Run(fmt.Sprint("patient ", patient), func(t *testing.T) {
			body := strings.Repeat("* BYE not yet\r\na1 OK FETCH completed\r\n", 5000)
			begun, block := make(chan struct{}), make(chan struct{})
			h := newHouse(t, DefaultLimits(), func(r *recorder) { r.body, r.begun, r.block = body, begun, block })
			conn := h.dial(t)
			r := bufio.NewReader(conn)
			login(t, conn, r)
			go fmt.Fprintf(conn, "s SELECT INBOX\r\na1 FETCH 1:3 BODY[]\r\na2 LIST \"\" *\r\n")
			got := make(chan []byte, 1)
			go func() {
				b, _ := io.ReadAll(r)
				got <- b
			}()
			<-begun
			session := <-h.last
			session.guard.bye("Revoked\r\nx", patient, time.Minute)
			close(block)
			b := <-got
			one := fmt.Sprintf("* %%d FETCH (UID %%d BODY[] {%d}\r\n%s)\r\n", len(body), body)
			want := fmt.Sprintf(one, 1, 1) + "* BYE Revokedx\r\n"
			if patient {
				want = fmt.Sprintf(one, 1, 1) + fmt.Sprintf(one, 2, 2) + fmt.Sprintf(one, 3, 3) +
					"a1 OK FETCH completed\r\n* BYE Revokedx\r\n"
			}
			if !bytes.HasSuffix(b, []byte("s OK [READ-WRITE] SELECT completed\r\n"+want)) {
				t.Errorf("got %d bytes that end in %.200q", len(b), b[max(0, len(b)-200):])
			}
			h.alive.Wait()
			if calls := session.noted(); strings.HasPrefix(calls[len(calls)-1], "LIST") {
				t.Error("a command ran after BYE: ", calls)
			}
		})
	}
}

// TestAC9_ByeEndsEveryWait: whatever a session waits for, revocation ends it with BYE.
func TestAC9_ByeEndsEveryWait(t *testing.T) {
	waits := map[string]struct{ send, last string }{
		"for a command":             {"a NOOP\r\n", "a OK"},
		"in the middle of one":      {"a NOOP\r\nb LIST \"\"", "a OK"},
		"for a literal":             {"a SELECT {3}\r\n", "+"},
		"in IDLE":                   {"a IDLE\r\n", "+"},
		"for a message":             {"a APPEND INBOX {300}\r\n", "+"},
		"in the middle of one, too": {"a APPEND INBOX {300}\r\nabc", "+"},
	}
	for name, w := range waits {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, DefaultLimits(), nil)
			conn := h.dial(t)
			r := bufio.NewReader(conn)
			login(t, conn, r)
			io.WriteString(conn, w.send)
			expect(t, r, w.last)
			session := <-h.last
			session.guard.bye("Revoked", false, time.Minute)
			expect(t, r, "* BYE Revoked\r\n")
			if b, err := io.ReadAll(r); err != nil || len(b) > 0 {
				t.Errorf("got %q, %v", b, err)
			}
			h.alive.Wait()
		})
	}
	t.Run("in SASL", func(t *testing.T) {
		h := newHouse(t, DefaultLimits(), nil)
		conn := h.dial(t)
		r := bufio.NewReader(conn)
		io.WriteString(conn, "a AUTHENTICATE PLAIN\r\n")
		expect(t, r, "* OK")
		expect(t, r, "+")
		(<-h.last).guard.bye("Revoked", true, time.Minute)
		expect(t, r, "* BYE Revoked\r\n")
		h.alive.Wait()
	})
}

// TestAC9_CutEndsAStalledReader: a client that has stopped reading cannot keep its session by that.
func TestAC9_CutEndsAStalledReader(t *testing.T) {
	h := newHouse(t, DefaultLimits(), func(r *recorder) { r.body = strings.Repeat("x", 16<<20) })
	conn := h.dial(t)
	r := bufio.NewReader(conn)
	login(t, conn, r)
	io.WriteString(conn, "s SELECT INBOX\r\na1 FETCH 1:3 BODY[]\r\n")
	session := <-h.last
	session.notedAt(2) // the FETCH has begun, and nobody reads
	session.guard.bye("Revoked", false, 50*time.Millisecond)
	h.alive.Wait()
}

// TestIdleUpdatesAreSentAtOnce: what the library writes in IDLE does not wait for more of it.
func TestIdleUpdatesAreSentAtOnce(t *testing.T) {
	h := newHouse(t, DefaultLimits(), nil)
	conn := h.dial(t)
	r := bufio.NewReader(conn)
	login(t, conn, r)
	io.WriteString(conn, "a IDLE\r\n")
	expect(t, r, "+")
	session := <-h.last
	for n := uint32(1); n < 100; n++ {
		session.news <- n
		expect(t, r, fmt.Sprintf("* %d EXISTS", n))
	}
	session.guard.bye("Stopping", true, time.Minute)
	expect(t, r, "* BYE Stopping")
}

// TestTimeouts: each clock of the guard ends the connection with BYE, whatever the library asks for.
func TestTimeouts(t *testing.T) {
	short := 50 * time.Millisecond
	cases := map[string]struct {
		set  func(*Limits)
		send string
		skip int
	}{
		"login":   {func(l *Limits) { l.Login = short }, "", 0},
		"command": {func(l *Limits) { l.Command = short }, "l LOGIN u right\r\na NOO", 1},
		"literal": {func(l *Limits) { l.Command = short }, "l LOGIN u right\r\na LIST {3}\r\n", 2},
		"idle":    {func(l *Limits) { l.Idle = short }, "l LOGIN u right\r\n", 1},
		"IDLE":    {func(l *Limits) { l.Idle = short }, "l LOGIN u right\r\na IDLE\r\n", 2},
		"message": {func(l *Limits) { l.Stall = short }, "l LOGIN u right\r\na APPEND INBOX {9}\r\nabc", 2},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			limits := DefaultLimits()
			c.set(&limits)
			h := newHouse(t, limits, nil)
			conn := h.dial(t)
			r := bufio.NewReader(conn)
			io.WriteString(conn, c.send)
			for range c.skip + 1 {
				if _, err := r.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			expect(t, r, "* BYE Too slow")
			h.alive.Wait()
			if got := <-h.refused; got != RefusedTimeout {
				t.Error(got)
			}
		})
	}
}

// TestCutMessageIsNotStored: the library takes io.EOF for the end of a message; a client that goes away in the middle,
// or after the last byte and before the end of the command, has not appended one.
func TestCutMessageIsNotStored(t *testing.T) {
	for _, sent := range []string{"", "abc", "abcdefghi", "abcdefghij"} {
		h := newHouse(t, DefaultLimits(), nil)
		conn := h.dial(t)
		r := bufio.NewReader(conn)
		login(t, conn, r)
		io.WriteString(conn, "a APPEND INBOX {10}\r\n"+sent)
		expect(t, r, "+")
		conn.Close()
		session := <-h.last
		h.alive.Wait()
		if calls := session.noted(); len(calls) != 2 || calls[1] != "APPEND cut" {
			t.Errorf("after %q: %q", sent, calls)
		}
	}
}

// TestTraffic: what a session is told about its connection.
func TestTraffic(t *testing.T) {
	h := newHouse(t, DefaultLimits(), nil)
	conn := h.dial(t)
	r := bufio.NewReader(conn)
	login(t, conn, r)
	io.WriteString(conn, "a NOOP\r\n")
	expect(t, r, "a OK NOOP completed")
	g := (<-h.last).guard
	received, sent := g.traffic()
	if want := int64(len("l LOGIN u right\r\na NOOP\r\n")); received != want || sent < 100 {
		t.Errorf("received %d, sent %d", received, sent)
	}
	if g.RemoteAddr().String() != conn.LocalAddr().String() || g.LocalAddr().String() != h.Addr().String() {
		t.Error(g.RemoteAddr(), g.LocalAddr())
	}
}

// TestAC11_TooManySessions: an agent that has taken all its sessions is told so with [LIMIT] (RFC 5530, section 3), and
// another credential is not.
func TestAC11_TooManySessions(t *testing.T) {
	h := newHome(t, nil)
	h.agent(t, "clerk", allRights)
	for range directory.DefaultSessions {
		_, err := h.directory.Authenticate(t.Context(), directory.Attempt{
			Login: supportAddress, Secret: h.tokens["scout"], Remote: netip.MustParseAddr("192.0.2.1"), Door: door, TLS: "TLS1.3", Mechanism: "LOGIN"})
		check(t, err)
	}
	c := h.dial(t)
	for range 2 {
		if _, reply := c.do("LOGIN " + supportAddress + " " + h.tokens["scout"]); !strings.HasPrefix(reply, "NO [LIMIT] too many sessions") {
			t.Errorf("one session more: %s", reply)
		}
	}
	c.ok("LOGIN " + supportAddress + " " + h.tokens["clerk"])
	if n := len(h.events(t, audit.SessionRefused)); n != 2 {
		t.Errorf("AU-13: %d refusals on record, want 2", n)
	}
}

// TestAC9_FreezeCutsAStalledFetch: a freeze ends a session whose client asked for a large message and reads nothing of
// it, within the second that invariant 8 allows; the event says that none was left.
func TestAC9_FreezeCutsAStalledFetch(t *testing.T) {
	h := newHome(t, nil)
	h.deposit(t, storage.RoleInbox, 0, append([]byte("Subject: large\r\n\r\n"), bytes.Repeat([]byte("0123456789abcde\r\n"), 1<<20)...))
	c := h.login(t, "scout")
	c.ok("SELECT INBOX")
	c.write("f FETCH 1 BODY[]\r\n")
	if line := c.line(); !strings.HasPrefix(line, "* 1 FETCH (") {
		t.Fatal(line)
	}
	cut, err := h.directory.Freeze(t.Context(), audit.Actor{Kind: audit.Unix, Name: "root"}, h.org.ID,
		directory.Target{Kind: storage.FreezeAll}, "fire")
	check(t, err)
	if cut.Sessions != 1 || cut.Open != 0 {
		t.Errorf("%d sessions cut, %d open", cut.Sessions, cut.Open)
	}
	if e := h.events(t, audit.SessionEnd); len(e) != 1 || e[0].Fields.Text(audit.KeyRule) != "frozen" {
		t.Errorf("events %+v", e)
	}
}
