package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"postern/server"
	"postern/server/control"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// lab is a running laboratory.
type lab struct {
	server.Ready
	out   bytes.Buffer
	stop  context.CancelFunc
	ended chan error
}

// freeBase finds a base whose ports are free.
func freeBase(t *testing.T) int {
	t.Helper()
search:
	for range 100 {
		base := 20000 + rand.IntN(10000)
		for _, port := range []int{25, 53, 465, 587, 993, 8443, 9464} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+port))
			if err != nil {
				continue search
			}
			l.Close()
		}
		return base
	}
	t.Fatal("no free ports")
	return 0
}

// startLab runs Dev until it is ready.
func startLab(t *testing.T, o server.DevOptions) *lab {
	t.Helper()
	l := &lab{ended: make(chan error, 1)}
	o.PortBase, o.Out = freeBase(t), &l.out
	o.ReadyFile = filepath.Join(t.TempDir(), "ready.json")
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	go func() { l.ended <- server.Dev(ctx, o) }()
	for {
		b, err := os.ReadFile(o.ReadyFile)
		if err == nil {
			if err := json.Unmarshal(b, &l.Ready); err != nil {
				t.Fatal(err)
			}
			return l
		}
		select {
		case err := <-l.ended:
			t.Fatalf("the laboratory ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (l *lab) end(t *testing.T) {
	t.Helper()
	l.stop()
	if err := <-l.ended; err != nil {
		t.Fatal(err)
	}
}

// send submits a message as an agent, with STARTTLS.
func (l *lab) send(t *testing.T, a server.DevAgent, to string) {
	t.Helper()
	c, err := smtp.Dial(l.Submission)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ca, err := os.ReadFile(l.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := (&server.Authority{CA: ca}).Pool()
	if err := c.StartTLS(&tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Auth(smtp.PlainAuth("", a.Login, a.Token, "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail(a.Inbox); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(to); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(w, "From: %s\r\nTo: %s\r\nSubject: a test\r\n\r\nHello.\r\n", a.Inbox, to)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// waitForQueue waits until only this recipient is left, and was tried.
func (l *lab) waitForQueue(t *testing.T, only string) {
	t.Helper()
	c := control.NewClient(l.Control)
	defer c.Close()
	var rows []control.Outgoing
	for range 1000 {
		rows = rows[:0]
		for row, err := range c.Queue(t.Context(), control.Page{}) {
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		if len(rows) == 1 && rows[0].To == only && rows[0].Attempts > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the queue holds %+v", rows)
}

// logged opens the data of a stopped laboratory and reads its log.
func logged(t *testing.T, dir string) map[string]int {
	t.Helper()
	root, err := seal.LoadRootKey(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(t.Context(), storage.Config{Dir: filepath.Join(dir, "data"), Root: root, Witness: filepath.Join(dir, "witness")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	events, err := store.Events(t.Context(), storage.EventQuery{})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range events {
		what := e.Verb.String()
		if to := e.Personal.Text(audit.KeyTo); to != "" && strings.HasPrefix(what, "queue.") {
			what += " " + to + " " + e.Fields.Text(audit.KeyRule)
		}
		count[what]++
	}
	return count
}

// TestDev runs a laboratory twice on the same directory: what it promises at the
// first start holds, and the second one finds it as it was.
func TestDev(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	first := startLab(t, server.DevOptions{Dir: dir})
	if resp, err := http.Get("http://" + first.Metrics + "/healthz/ready"); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("it is not ready: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	for door, addr := range map[string]string{
		"smtp": first.SMTP, "submission": first.Submission, "submissions": first.Submissions, "imaps": first.IMAPS, "dns": first.DNS,
		"http": first.HTTP, "https": first.HTTPS,
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Errorf("%s: %v", door, err)
			continue
		}
		c.Close()
	}
	policyOf(t, first.Ready)
	if len(first.Agents) != 2 || first.PID != os.Getpid() || first.Control == "" {
		t.Errorf("the ready file says %+v", first.Ready)
	}
	scout := first.Agents[0]
	if !strings.Contains(first.out.String(), scout.Token) {
		t.Error("the token is not printed")
	}
	for _, to := range []string{"you@example.com", "permerror@example.com", "temperror@example.com", "you@nowhere.invalid", "clerk@dev.test"} {
		first.send(t, scout, to)
	}
	first.waitForQueue(t, "temperror@example.com")
	first.end(t)

	got := logged(t, dir)
	for what, n := range map[string]int{
		"message.received":                         6, // the samples, and what scout wrote to clerk
		"queue.delivered you@example.com accepted": 1, "queue.failed permerror@example.com refused": 1,
		"queue.attempt temperror@example.com refused": 1, "queue.failed you@nowhere.invalid no-domain": 1,
		"queue.delivered clerk@dev.test stored": 1, "notice.delivered": 2,
	} {
		if got[what] != n {
			t.Errorf("%d events %q, want %d of all: %v", got[what], what, n, got)
		}
	}

	second := startLab(t, server.DevOptions{Dir: dir})
	if !reflect.DeepEqual(second.Agents, first.Agents) {
		t.Error("the second start has other agents or tokens")
	}
	second.send(t, scout, "clerk@dev.test")
	second.end(t)
	if n := logged(t, dir)["message.received"]; n > 7 {
		t.Errorf("%d messages: the samples came again", n)
	}
	for _, name := range []string{"root.key", "agents.json", "key.pem"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v: readable to others", name, info.Mode(), err)
		}
	}
}

// policyOf fetches the MTA-STS policy of the laboratory's domain as another server would, but for the ports (RFC 8461,
// section 3.3): in clear there is a redirect alone.
func policyOf(t *testing.T, r server.Ready) {
	t.Helper()
	ca, err := os.ReadFile(r.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	to := map[string]string{"mta-sts.dev.test:443": r.HTTPS, "mta-sts.dev.test:80": r.HTTP}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, to[addr])
		},
	}}
	answer, err := client.Get("http://mta-sts.dev.test/.well-known/mta-sts.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.Request.URL.Scheme != "https" || !strings.Contains(string(text), "mx: mail.dev.test\r\n") {
		t.Errorf("%s: %q, %v", answer.Request.URL, text, err)
	}
}
