package main_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/dns/nameserver"
	"postern/server"
)

// policyHost serves an MTA-STS policy of a domain over HTTPS, and publishes it. It
// returns the certificate of its authority and its port.
func (n *internet) policyHost(domain, policy string) (ca []byte, port string) {
	n.t.Helper()
	a, err := server.NewAuthority(time.Now(), "mta-sts."+domain)
	if err != nil {
		n.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, policy)
	}))
	if s.TLS, err = a.Server(); err != nil {
		n.t.Fatal(err)
	}
	s.StartTLS()
	n.t.Cleanup(s.Close)
	n.publish("mta-sts."+domain, nameserver.A, "127.0.0.1")
	n.publish("_mta-sts."+domain, nameserver.TXT, "v=STSv1; id=1")
	_, port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return a.CA, port
}

// TestCO1_STSBetweenCompanies: mail to a company that enforces MTA-STS waits while
// its server shows the wrong certificate, and goes when it shows the right one. RFC
// 8461, section 5.
func TestCO1_STSBetweenCompanies(t *testing.T) {
	n := newInternet(t)
	here, there := n.company("here.test", "127.0.0.1"), n.company("there.test", "127.0.0.2")
	policyCA, port := n.policyHost("there.test", "version: STSv1\nmode: enforce\nmx: mx.there.test\nmax_age: 86400\n")
	right, err := server.NewAuthority(time.Now(), "mx.there.test", "localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	here.configure("relay = { ", `relay = { policy_port = `+port+`, ca_file = "`+file(t, "trusted.pem", append(policyCA, right.CA...))+`", `)
	here.start()
	there.start()
	here.addDomain()
	there.addDomain()
	// What the domain's plan says of MTA-STS is not what this test publishes.
	n.publish("mta-sts.there.test", nameserver.A, "127.0.0.1")
	n.publish("_mta-sts.there.test", nameserver.TXT, "v=STSv1; id=1")
	scout, clerk := here.account("scout@here.test"), there.account("clerk@there.test")
	here.submit(scout, "dots", clerk.inbox)
	until(t, "the mail is refused", func() bool { q := here.queued(); return len(q) == 1 && q[0].Attempts == 1 })
	id := here.queued()[0].ID
	var shown map[string]any
	until(t, "the attempt is on record", func() bool {
		shown = nil
		return json.Unmarshal([]byte(here.postern("queue", "show", id, "-o", "json")), &shown) == nil && shown["tls_failure"] != nil
	})
	if shown["tls_policy"] != "sts" || shown["tls_demand"] != "sts" || shown["tls_failure"] != "certificate-not-trusted" {
		t.Errorf("%v", shown)
	}
	there.certificate(right)
	here.postern("queue", "retry", id)
	there.arrival(clerk, "INBOX", 1)
	until(t, "the queue empties", func() bool { return len(here.queued()) == 0 })
	out := here.postern("audit", "list", "--verb", "queue.delivered", "-o", "jsonl")
	if !strings.Contains(out, `"tls_policy":"sts"`) || !strings.Contains(out, `"tls_proof":"sts"`) {
		t.Error(out)
	}
}

// configure changes the configuration file.
func (c *company) configure(before, after string) {
	c.t.Helper()
	text, err := os.ReadFile(c.config)
	if err != nil || !strings.Contains(string(text), before) {
		c.t.Fatalf("%v: there is no %q in %s", err, before, text)
	}
	if err := os.WriteFile(c.config, []byte(strings.Replace(string(text), before, after, 1)), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// certificate has the running server read another certificate.
func (c *company) certificate(a *server.Authority) {
	c.t.Helper()
	text, err := os.ReadFile(c.config)
	if err != nil {
		c.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `tls = { cert = "`)
	cert, rest, _ := strings.Cut(rest, `", key = "`)
	key, _, _ := strings.Cut(rest, `"`)
	for path, data := range map[string][]byte{cert: a.Cert, key: a.Key, c.CAFile: a.CA} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := syscall.Kill(c.PID, syscall.SIGHUP); err != nil {
		c.t.Fatal(err)
	}
	until(c.t, "the server shows another certificate", func() bool {
		conn, err := tls.Dial("tcp", c.Submissions, c.tls())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}
