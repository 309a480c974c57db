package imapd

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

const (
	crowdAddr  = "IMAPD_TEST_CROWD" // address of the server that this process is a crowd of clients for
	crowdLogin = "IMAPD_TEST_LOGIN" // users and passwords, divided by commas, if not "u right"
	crowdSize  = 500
)

// TestMain turns the test binary into a crowd of clients, so that their memory is not taken for the server's.
func TestMain(m *testing.M) {
	if addr := os.Getenv(crowdAddr); addr != "" {
		if err := crowd(addr, strings.Split(cmp.Or(os.Getenv(crowdLogin), "u right"), ",")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// crowd logs crowdSize clients in, has each wait in IDLE, says so, and stays until its input ends.
func crowd(addr string, logins []string) error {
	conns := make([]io.Closer, 0, crowdSize)
	for i := range crowdSize {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		conns = append(conns, conn) // or its finalizer closes it
		r := bufio.NewReader(conn)
		for _, step := range []struct{ send, want string }{
			{"", "* OK"}, {"a LOGIN " + logins[i%len(logins)] + "\r\n", "a OK"}, {"b SELECT INBOX\r\n", "b OK"}, {"c IDLE\r\n", "+"},
		} {
			io.WriteString(conn, step.send)
			for line := ""; !strings.HasPrefix(line, step.want); {
				if line, err = r.ReadString('\n'); err != nil {
					return err
				}
			}
		}
	}
	fmt.Println("idling")
	_, err := io.Copy(io.Discard, os.Stdin)
	for _, c := range conns {
		c.Close()
	}
	return err
}

// BenchmarkIdleSession reports what a session in IDLE costs: TLS, guard, library and a goroutine, over a session that
// is nearly nothing. The figure to hold for all of it is 40 KiB.
func BenchmarkIdleSession(b *testing.B) {
	h := newHouse(b, DefaultLimits(), nil)
	for range b.N {
		before := memory(b)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crowdAddr+"="+h.Addr().String())
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
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

// memory returns bytes of heap, of stacks, and resident.
func memory(b *testing.B) [3]int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return [3]int64{int64(m.HeapAlloc), int64(m.StackInuse), pages * int64(os.Getpagesize())}
}
