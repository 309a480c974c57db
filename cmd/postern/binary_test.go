package main_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// The tests in this package that kill, trace or search a server run the real
// binary in a process of its own.

var (
	built   sync.Map // ldflags -> *build
	workDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "postern-test") })
)

type build struct {
	once sync.Once
	path string
	err  error
}

// binary builds the command once for each set of linker flags.
func binary(t testing.TB, ldflags string) string {
	t.Helper()
	v, _ := built.LoadOrStore(ldflags, new(build))
	b := v.(*build)
	b.once.Do(func() {
		dir, err := workDir()
		if err != nil {
			b.err = err
			return
		}
		b.path = filepath.Join(dir, fmt.Sprintf("postern-%x", len(ldflags)))
		cmd := exec.Command("go", "build", "-o", b.path, "-ldflags", ldflags, "postern/cmd/postern")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("%v\n%s", err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

// ready is the file that `postern dev` writes once every listener accepts.
type ready struct {
	PID         int    `json:"pid"`
	SMTP        string `json:"smtp"`
	Submissions string `json:"submissions"`
	Submission  string `json:"submission"`
	IMAPS       string `json:"imaps"`
	Control     string `json:"control"`
	CAFile      string `json:"ca_file"`
	Agents      []struct {
		Name, Inbox, Login, Token string
	} `json:"agents"`
}

// dev is a running `postern dev`.
type dev struct {
	ready
	t    testing.TB
	bin  string
	dir  string
	cmd  *exec.Cmd
	log  *bytes.Buffer
	done chan error
}

// freeBase finds a port base whose ports are free now.
func freeBase(t testing.TB) int {
	t.Helper()
	for range 50 {
		base := 11000 + rand.IntN(12000) // the highest port stays below the ports that the kernel gives to outgoing connections
		free := true
		for _, p := range []int{25, 53, 80, 443, 465, 587, 993, 8443, 9464} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+p))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// startDev starts `postern dev` on a directory, under a tracer if one is named,
// and waits until it is ready.
func startDev(t testing.TB, bin, dir string, tracer ...string) *dev {
	t.Helper()
	d := &dev{t: t, bin: bin, dir: dir, log: new(bytes.Buffer), done: make(chan error, 1)}
	readyFile := filepath.Join(t.TempDir(), "ready.json")
	args := append(tracer, bin, "dev", "--data", dir, "--ready-file", readyFile, "--port-base", fmt.Sprint(freeBase(t)), "--no-samples")
	d.cmd = exec.Command(args[0], args[1:]...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.done <- d.cmd.Wait() }()
	t.Cleanup(func() { syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) })
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile(readyFile); err == nil {
			if err := json.Unmarshal(b, &d.ready); err != nil {
				t.Fatal(err)
			}
			return d
		}
		select {
		case err := <-d.done:
			t.Fatalf("postern dev ended: %v\n%s", err, d.log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("postern dev is not ready\n%s", d.log)
		}
	}
}

// kill ends the server at once, as a crash of the machine's power supply would
// but for the page cache.
func (d *dev) kill() {
	syscall.Kill(d.PID, syscall.SIGKILL)
	<-d.done
}

// stop ends the server in order.
func (d *dev) stop() {
	d.t.Helper()
	syscall.Kill(d.PID, syscall.SIGTERM)
	select {
	case err := <-d.done:
		if err != nil {
			d.t.Errorf("stop: %v\n%s", err, d.log)
		}
	case <-time.After(40 * time.Second):
		d.t.Fatalf("the server does not stop\n%s", d.log)
	}
}

// postern runs a command against the server and returns its standard output.
func (d *dev) postern(args ...string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.bin, append([]string{"--control", d.Control}, args...)...)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("postern %s: %v\n%s", strings.Join(args, " "), err, talk.String())
	}
	return out.String()
}

// unlimited lifts the limits of the agents, which are low by default, for tests
// that send much. It is an act of the laboratory's admin. // AV-1
func (d *dev) unlimited() {
	d.t.Helper()
	for _, a := range d.Agents {
		for _, key := range []string{"messages-per-hour", "messages-per-day", "first-time-per-day"} {
			d.postern("policy", "set", "agent:"+a.Name, key, "1000000")
		}
	}
}

// tls trusts the installation's own authority.
func (d *dev) tls() *tls.Config {
	d.t.Helper()
	pem, err := os.ReadFile(d.CAFile)
	if err != nil {
		d.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

// imap logs an agent in.
func (d *dev) imap(agent int) *imapclient.Client {
	d.t.Helper()
	c, err := imapclient.DialTLS(d.IMAPS, &imapclient.Options{TLSConfig: d.tls()})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := c.Login(d.Agents[agent].Login, d.Agents[agent].Token).Wait(); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// dialSMTP opens a session on port 25, or with credentials on 465.
func (d *dev) dialSMTP(agent int) (*smtp.Client, error) {
	if agent < 0 {
		return smtp.Dial(d.SMTP)
	}
	conn, err := tls.Dial("tcp", d.Submissions, d.tls())
	if err != nil {
		return nil, err
	}
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return nil, err
	}
	return c, c.Auth(smtp.PlainAuth("", d.Agents[agent].Login, d.Agents[agent].Token, "localhost"))
}

// send gives one message to an open session; nil means that it was acknowledged.
func send(c *smtp.Client, from, to string, message []byte) error {
	return handOver(c, from, []string{to}, message)
}

// bodies fetches the text of every message of a mailbox by Subject.
func (d *dev) bodies(c *imapclient.Client, mailbox string) map[string][]string {
	d.t.Helper()
	data, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		d.t.Fatal(err)
	}
	found := map[string][]string{}
	if data.NumMessages == 0 {
		return found
	}
	text := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierText, Peek: true}
	var all imap.SeqSet
	all.AddRange(1, data.NumMessages)
	msgs, err := c.Fetch(all, &imap.FetchOptions{Envelope: true, BodySection: []*imap.FetchItemBodySection{text}}).Collect()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, m := range msgs {
		found[m.Envelope.Subject] = append(found[m.Envelope.Subject], string(m.FindBodySection(text)))
	}
	return found
}

// needs skips when a tool of Debian's is missing, and fails in CI, which
// installs it.
func needs(t testing.TB, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", tool)
	}
	t.Skipf("%s is not installed (.ci/run installs it)", tool)
	return ""
}
