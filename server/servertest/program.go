package servertest

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// program is somebody else's server in the laboratory, run for one test.
type program struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	said  *log
	ended chan struct{} // closed when it is no more
}

// log keeps what a program says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write takes a line.
func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// tool is the path of a program of Debian. A test whose program is missing is
// skipped, and fails where all programs must be there.
func tool(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		// A daemon is in sbin, which is not on everybody's path.
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		unable(t, name+" is not installed (Debian's package "+pkg+"; .ci/run installs it)")
	}
	return path
}

// unable ends a test for which something is missing.
func unable(t testing.TB, text string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
}

// run starts a program, which ends with the test.
func run(t testing.TB, path string, args ...string) *program {
	t.Helper()
	p := &program{t: t, name: path, cmd: exec.Command(path, args...), said: new(log), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	// A group of its own: a server's children end with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.cmd.Wait() // how it ended says nothing that its log does not
	}()
	t.Cleanup(p.end)
	return p
}

// end stops the program, by force if it takes long.
func (p *program) end() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
	if p.t.Failed() {
		p.t.Logf("%s said:\n%s", p.name, p.said)
	}
}

// answers waits until the program replies to a question, whatever it replies.
func (p *program) answers(addr netip.AddrPort, name string, good func(*mdns.Msg) bool) {
	p.t.Helper()
	client := mdns.Client{Timeout: time.Second}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		q := new(mdns.Msg).SetQuestion(mdns.Fqdn(name), mdns.TypeSOA)
		reply, _, err := client.Exchange(q, addr.String())
		if err == nil && good(reply) {
			return
		}
		select {
		case <-p.ended:
			p.t.Fatalf("%s ended:\n%s", p.name, p.said)
		case <-time.After(20 * time.Millisecond):
		}
	}
	p.t.Fatalf("%s does not answer at %s:\n%s", p.name, addr, p.said)
}

// FreeAddr finds an address in 127.53.0.0/16 with a port that is free for UDP and
// TCP. Port 53 is where resolvers look for the servers that a delegation names; a
// test that may not bind it is skipped. Port 0 stands for any.
func FreeAddr(t testing.TB, port uint16) netip.AddrPort {
	t.Helper()
	var err error
	for range 50 {
		ip := netip.AddrFrom4([4]byte{127, 53, byte(rand.N(256)), byte(1 + rand.N(254))})
		var addr netip.AddrPort
		if addr, err = free(netip.AddrPortFrom(ip, port)); err == nil {
			return addr
		}
	}
	if port == 53 {
		unable(t, "this test needs port 53, as root has it, or with sysctl net.ipv4.ip_unprivileged_port_start=53: "+err.Error())
	}
	t.Fatal(err)
	return netip.AddrPort{}
}

// free reports whether nobody listens at an address, with the port that it found.
func free(addr netip.AddrPort) (netip.AddrPort, error) {
	tcp, err := net.Listen("tcp", addr.String())
	if err != nil {
		return addr, err
	}
	defer tcp.Close()
	addr = tcp.Addr().(*net.TCPAddr).AddrPort()
	udp, err := net.ListenPacket("udp", addr.String())
	if err != nil {
		return addr, err
	}
	return addr, udp.Close()
}
