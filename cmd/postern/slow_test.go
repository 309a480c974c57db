package main_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// walLimit is what the write-ahead log may grow to: a few checkpoints' worth. A
// reader that kept a snapshot would let it grow with all that is written.
const walLimit = 48 << 20

// stalledFetch asks for everything and reads nothing of the answer.
func (d *dev) stalledFetch() net.Conn {
	d.t.Helper()
	raw, err := net.Dial("tcp", d.IMAPS)
	if err != nil {
		d.t.Fatal(err)
	}
	raw.(*net.TCPConn).SetReadBuffer(4096)
	conn := tls.Client(raw, d.tls())
	fmt.Fprintf(conn, "a LOGIN %s %s\r\nb SELECT INBOX\r\nc FETCH 1:* (ENVELOPE BODY.PEEK[])\r\n", d.Agents[0].Login, d.Agents[0].Token)
	one := make([]byte, 1)
	if _, err := conn.Read(one); err != nil { // it is served
		d.t.Fatal(err)
	}
	return conn
}

// TestSlowReadersLeaveTheLogBounded holds 50 FETCHes that nobody reads under
// write load: no read transaction is open while the network is written to.
func TestSlowReadersLeaveTheLogBounded(t *testing.T) {
	bin := binary(t, "")
	dir := filepath.Join(t.TempDir(), "dev")
	d := startDev(t, bin, dir)
	deliver := func(n, size int) {
		c, err := d.dialSMTP(-1)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Quit()
		for i := range n {
			text := strings.Repeat(fmt.Sprintf("%016x", i*7919), size/16)
			m := fmt.Sprintf("From: <a@b.test>\r\nSubject: %d\r\n\r\n%s\r\n", i, strings.Join(chunks(text, 70), "\r\n"))
			if err := send(c, "a@b.test", d.Agents[0].Inbox, []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
	}
	deliver(100, 100_000) // more than the buffers of a connection hold
	for range 50 {
		defer d.stalledFetch().Close()
	}
	wal := filepath.Join(dir, "data", "postern.db-wal")
	var largest atomic.Int64
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			if st, err := os.Stat(wal); err == nil && st.Size() > largest.Load() {
				largest.Store(st.Size())
			}
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { deliver(1000, 20_000) })
	}
	wg.Wait()
	close(stop)
	watch.Wait()
	t.Logf("80 MB written, the write-ahead log grew to %d bytes at the most", largest.Load())
	if largest.Load() > walLimit {
		t.Errorf("the write-ahead log grew to %d bytes, more than %d", largest.Load(), walLimit)
	}
}

func chunks(s string, n int) (all []string) {
	for len(s) > n {
		all, s = append(all, s[:n]), s[n:]
	}
	return append(all, s)
}
