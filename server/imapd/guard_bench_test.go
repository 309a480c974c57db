package imapd

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
)

// BenchmarkLoginSelect is a whole connection: TCP, TLS, LOGIN, SELECT, LOGOUT, with the client in the same process.
func BenchmarkLoginSelect(b *testing.B) {
	h := newHouse(b, DefaultLimits(), func(*recorder) {})
	for b.Loop() {
		conn := h.dial(b)
		r := bufio.NewReader(conn)
		io.WriteString(conn, "a LOGIN u right\r\nb SELECT INBOX\r\nc LOGOUT\r\n")
		for line := ""; !strings.HasPrefix(line, "c OK"); {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				b.Fatal(err)
			}
		}
		conn.Close()
		<-h.last
	}
}

// BenchmarkCommands is one command and its reply over TLS, waiting for each or a hundred at a time.
func BenchmarkCommands(b *testing.B) {
	for _, batch := range []int{1, 100} {
		b.Run(fmt.Sprint("pipelined=", batch), func(b *testing.B) {
			h := newHouse(b, DefaultLimits(), nil)
			conn := h.dial(b)
			r := bufio.NewReader(conn)
			login(b, conn, r)
			send := strings.Repeat("a1 NOOP\r\n", batch)
			for n := 0; n < b.N; n += batch {
				io.WriteString(conn, send)
				for range batch {
					if _, err := r.ReadSlice('\n'); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkFetch is one short FETCH response of many, as a client that lists a mailbox gets them.
func BenchmarkFetch(b *testing.B) {
	const messages = 10_000
	h := newHouse(b, DefaultLimits(), func(r *recorder) { r.messages = messages })
	conn := h.dial(b)
	r := bufio.NewReaderSize(conn, 64<<10)
	login(b, conn, r)
	io.WriteString(conn, "s SELECT INBOX\r\n")
	for line := ""; !strings.HasPrefix(line, "s OK"); {
		line, _ = r.ReadString('\n')
	}
	for n := 0; n < b.N; n += messages {
		io.WriteString(conn, "a FETCH 1:* UID\r\n")
		for range messages + 1 {
			if _, err := r.ReadSlice('\n'); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkAppendUpload is the way of a large message through the guard.
func BenchmarkAppendUpload(b *testing.B) {
	h := newHouse(b, DefaultLimits(), nil)
	conn := h.dial(b)
	r := bufio.NewReader(conn)
	login(b, conn, r)
	body := strings.Repeat("x", 1<<20)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		fmt.Fprintf(conn, "a APPEND INBOX {%d}\r\n", len(body))
		expect(b, r, "+")
		io.WriteString(conn, body+"\r\n")
		expect(b, r, "a OK")
	}
}
