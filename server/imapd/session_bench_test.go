package imapd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"postern/storage"
)

// letters is text that looks like mail: a few kilobytes, compressible as prose is.
func letter(n, size int) []byte {
	words := strings.Fields("the quick agent reads mail and answers with care about orders invoices meetings plans travel numbers reports when people ask")
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	var b bytes.Buffer
	fmt.Fprintf(&b, "Return-Path: <alice%d@example.net>\r\nReceived: from mail.example.net ([192.0.2.1]) by mx.example.com; Fri, 02 Jan 2026 03:04:05 +0000\r\n", n)
	fmt.Fprintf(&b, "From: Alice Number %d <alice%d@example.net>\r\nTo: Support <support@example.com>\r\nSubject: Order %d, second question\r\n", n, n, n)
	fmt.Fprintf(&b, "Date: Fri, 02 Jan 2026 03:04:05 +0000\r\nMessage-ID: <%d.abcdef@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", n)
	for b.Len() < size {
		for range 10 {
			b.WriteString(words[rng.IntN(len(words))])
			b.WriteByte(' ')
		}
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// fill puts n letters of a size into INBOX.
func (h *home) fill(b testing.TB, n, size int) {
	b.Helper()
	for done := 0; done < n; {
		var batch [][]byte
		for ; len(batch) < 500 && done < n; done++ {
			batch = append(batch, letter(done, size))
		}
		h.deposit(b, storage.RoleInbox, storage.Seen, batch...)
	}
}

// run sends a command and reads its answer, and returns the bytes of that.
func (c *client) run(command string) (n int64) {
	c.write("x " + command + "\r\n")
	for {
		line, err := c.r.ReadSlice('\n')
		n += int64(len(line))
		if err != nil && err != bufio.ErrBufferFull {
			c.t.Fatal(err)
		}
		if bytes.HasPrefix(line, []byte("x ")) {
			if !bytes.HasPrefix(line, []byte("x OK")) {
				c.t.Fatalf("%s", line)
			}
			return n
		}
	}
}

// cpu reports what a benchmark costs in processor time, client included: on a busy machine that says more than the clock.
func cpu(b *testing.B) (report func(each int)) {
	spent := func() int64 {
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := spent()
	return func(each int) { b.ReportMetric(float64(spent()-before)/1000/float64(each), "cpu-µs/each") }
}

// BenchmarkFetchEnvelope is ENVELOPE and FLAGS of a whole mailbox, over TLS. The figure to hold is 100,000 a second.
func BenchmarkFetchEnvelope(b *testing.B) {
	const messages = 10_000
	h := newHome(b, nil)
	h.fill(b, messages, 1000)
	c := h.login(b, "scout")
	c.run("SELECT INBOX")
	n, done := 0, cpu(b)
	for b.Loop() {
		c.run("FETCH 1:* (FLAGS ENVELOPE)")
		n += messages
	}
	done(n)
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkFetchBodies is whole messages in bulk, over TLS. The figure to hold is 60 MB a second.
func BenchmarkFetchBodies(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 4 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			h := newHome(b, nil)
			h.fill(b, max(1, 8<<20/size), size)
			c := h.login(b, "scout")
			c.run("SELECT INBOX")
			n, done := 0, cpu(b)
			b.SetBytes(c.run("FETCH 1:* BODY.PEEK[]"))
			for b.Loop() {
				c.run("FETCH 1:* BODY.PEEK[]")
				n += max(1, 8<<20/size)
			}
			done(n)
		})
	}
}

// BenchmarkSearchText looks through 10,000 messages of 4 KB. The figure to hold is 150 ms.
func BenchmarkSearchText(b *testing.B) {
	h := newHome(b, nil)
	h.fill(b, 10_000, 4000)
	c := h.login(b, "scout")
	c.run("SELECT INBOX")
	for _, key := range []string{`TEXT "nobody wrote this"`, `BODY "nobody wrote this"`, `SUBJECT "nobody wrote this"`, "UNSEEN", "SINCE 1-Jan-2030"} {
		b.Run(strings.Fields(key)[0], func(b *testing.B) {
			n, done := 0, cpu(b)
			for b.Loop() {
				c.run("SEARCH " + key)
				n += 10_000
			}
			done(n)
		})
	}
}

// BenchmarkStore is one flag of one message, durable, one by one. The figure to hold is 2,500 a second.
func BenchmarkStore(b *testing.B) {
	h := newHome(b, nil)
	h.fill(b, 100, 1000)
	c := h.login(b, "scout")
	c.run("SELECT INBOX")
	done := cpu(b)
	for i := 0; b.Loop(); i++ {
		sign := "+-"[i/100%2]
		c.run(fmt.Sprintf("STORE %d %cFLAGS (\\Flagged)", i%100+1, sign))
	}
	done(b.N)
}

// BenchmarkLogin is a whole connection: TCP, TLS, LOGIN, SELECT, LOGOUT. The figure to hold is 800 a second.
func BenchmarkLogin(b *testing.B) {
	for _, messages := range []int{100, 20_000} {
		b.Run(fmt.Sprint(messages, "-messages"), func(b *testing.B) {
			h := newHome(b, nil)
			h.fill(b, messages, 500)
			done := cpu(b)
			for b.Loop() {
				c := h.dial(b)
				io.WriteString(c.conn, "a LOGIN "+supportAddress+" "+h.tokens["scout"]+"\r\nb SELECT INBOX\r\nx LOGOUT\r\n")
				for line := ""; !strings.HasPrefix(line, "x OK"); {
					line = c.line()
				}
				c.conn.Close()
			}
			done(b.N)
		})
	}
}

// BenchmarkIdleHome reports what an idle session costs with all that is behind it: TLS, guard, library, the session and
// its view of a mailbox. The figure to hold is 40 KiB.
func BenchmarkIdleHome(b *testing.B) {
	h := newHome(b, nil)
	h.fill(b, 1000, 500)
	var logins []string
	for i := range crowdSize / 10 { // a credential has few sessions (AC-11)
		name := fmt.Sprint("agent", i)
		h.agent(b, name, allRights)
		logins = append(logins, supportAddress+" "+h.tokens[name])
	}
	for range b.N {
		before := memory(b)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crowdAddr+"="+h.addr, crowdLogin+"="+strings.Join(logins, ","))
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		check(b, cmd.Start())
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "idling\n" {
			b.Fatal(line, err)
		}
		after := memory(b)
		for i, unit := range []string{"heap-B/session", "stack-B/session", "rss-B/session"} {
			b.ReportMetric(float64(after[i]-before[i])/crowdSize, unit)
		}
		in.Close()
		cmd.Wait()
	}
}
