package relay_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"postern/dns/nameserver"
	"postern/server/relay"
)

var secure = manners{extensions: []string{"STARTTLS", "PIPELINING"}}

func TestCO1_OpportunisticTLS(t *testing.T) {
	l := newLab(t)
	h := l.host("mx.test", "127.0.0.2", secure.script)
	l.record("to.test", nameserver.MX, "10 mx.test")
	got := l.relay().Send(t.Context(), mailTo(t, "a@to.test"))
	want(t, got, "delivered accepted 250 2.0.0 @mx.test")
	if tls := got[0].TLS; tls.Version != "TLS 1.3" || tls.Cipher == "" || !tls.Verified || tls.Failed {
		t.Errorf("TLS %+v", tls)
	}
	// RFC 3207, section 4.2: EHLO again, under our own name each time.
	if said := strings.Join(h.said()[:4], "|"); said != "connect|EHLO out.test|STARTTLS|EHLO out.test" {
		t.Error(said)
	}
	// A certificate that nobody vouches for protects all the same.
	got = l.relay(func(c *relay.Config) { c.Roots = x509.NewCertPool() }).Send(t.Context(), mailTo(t, "a@to.test"))
	want(t, got, "delivered accepted 250 2.0.0 @mx.test")
	if tls := got[0].TLS; tls.Version != "TLS 1.3" || tls.Verified {
		t.Errorf("TLS %+v", tls)
	}
}

// STARTTLS that fails in whatever way: the same host in clear, on a new
// connection, with nothing carried over.
func TestSTARTTLSFails(t *testing.T) {
	for what, script := range map[string]func(*conv){
		"refused":  func(c *conv) { c.say("454 4.7.0 not now") },
		"hangs up": func(c *conv) {},
		"no TLS":   func(c *conv) { c.say("220 go", strings.Repeat("x", 1000)) },
		"broken":   func(c *conv) { c.say("220 go"); c.hear(); c.conn.Write([]byte("this is no handshake, whatever it is")) },
		"injected": func(c *conv) { c.say("220 go", "250 injected ahead of the handshake"); c.startTLS() },
	} {
		t.Run(what, func(t *testing.T) {
			l := newLab(t)
			h := l.host("to.test", "127.0.0.2", func(c *conv) {
				c.say("220 x")
				for line := c.hear(); line != ""; line = c.hear() {
					switch {
					case line == "STARTTLS":
						script(c)
						return
					case line == "DATA":
						c.say("354 x")
						c.data()
						c.say("250 2.0.0 taken")
					case strings.HasPrefix(line, "EHLO"):
						c.say("250-x", "250-PIPELINING", "250 STARTTLS")
					default:
						c.say("250 x")
					}
				}
			})
			got := l.relay().Send(t.Context(), mailTo(t, "a@to.test"))
			want(t, got, "delivered accepted 250 2.0.0 @to.test")
			if got[0].TLS != (relay.TLS{Failed: true}) {
				t.Errorf("TLS %+v", got[0].TLS)
			}
			if h.heard("connect") != 2 || h.heard("STARTTLS") != 1 || len(h.mails()) != 1 {
				t.Errorf("said %q", h.said())
			}
		})
	}
}

func smart(h string, port uint16, implicit bool) func(*relay.Config) {
	return func(c *relay.Config) {
		c.AllowPrivate = false // the operator chose the smart host; the guard is for strangers
		c.SmartHost = &relay.SmartHost{Host: h, Port: port, ImplicitTLS: implicit, Username: "user", Password: "secret"}
	}
}

func TestSmartHost(t *testing.T) {
	const plainAuth = "AUTH PLAIN AHVzZXIAc2VjcmV0"
	for what, test := range map[string]struct {
		implicit bool
		host     manners
		auth     []string
	}{
		"implicit TLS": {true, manners{implicit: true, extensions: []string{"AUTH LOGIN PLAIN"}}, []string{plainAuth}},
		"STARTTLS":     {false, manners{extensions: []string{"STARTTLS", "AUTH PLAIN"}}, []string{plainAuth}},
		"LOGIN": {true, manners{implicit: true, extensions: []string{"AUTH LOGIN"}, replies: map[string]string{
			"AUTH LOGIN": "334 VXNlcm5hbWU6", "dXNlcg==": "334 UGFzc3dvcmQ6", "c2VjcmV0": "235 2.7.0 ok"}},
			[]string{"AUTH LOGIN", "dXNlcg==", "c2VjcmV0"}},
	} {
		t.Run(what, func(t *testing.T) {
			l := newLab(t)
			h := l.host("smart.test", "127.0.0.2", test.host.script)
			got := l.relay(smart("smart.test", l.port, test.implicit)).Send(t.Context(), mailTo(t, "a@to.test", "b@elsewhere.test"))
			want(t, got, "delivered accepted 250 2.0.0 @smart.test; delivered accepted 250 2.0.0 @smart.test")
			if !got[0].TLS.Verified || len(h.mails()) != 1 {
				t.Errorf("TLS %+v", got[0].TLS)
			}
			for _, line := range test.auth {
				if !slices.Contains(h.said(), line) {
					t.Errorf("%q is missing in %q", line, h.said())
				}
			}
		})
	}
}

// The password is shown to nobody but the verified smart host, and a refusal of
// it returns nobody's mail.
func TestSmartHostFailures(t *testing.T) {
	for what, test := range map[string]struct {
		implicit bool
		host     manners
		name     string
		text     string
	}{
		"no STARTTLS":    {false, manners{extensions: []string{"AUTH PLAIN"}}, "smart.test", "temporary tls-failed 0 4.7.4 @smart.test"},
		"STARTTLS fails": {false, manners{extensions: []string{"STARTTLS"}, replies: map[string]string{"STARTTLS": "454 no"}}, "smart.test", "temporary tls-failed 454 4.7.4 @smart.test"},
		"wrong name":     {true, manners{implicit: true}, "alias.test", "temporary tls-failed 0 4.7.5 @alias.test"},
		"clear":          {true, manners{}, "smart.test", "temporary tls-failed 0 4.7.5 @smart.test"},
		"no AUTH":        {true, manners{implicit: true}, "smart.test", "temporary auth-failed 0 4.7.4 @smart.test"},
		"bad password": {true, manners{implicit: true, extensions: []string{"AUTH PLAIN"}, replies: map[string]string{"AUTH": "535 5.7.8 bad"}},
			"smart.test", "temporary auth-failed 535 4.7.8 @smart.test"},
		"unknown": {true, manners{implicit: true}, "absent.test", "temporary no-address 0 4.4.4 @absent.test"},
		"relay denied": {true, manners{implicit: true, extensions: []string{"AUTH PLAIN"}, replies: map[string]string{"RCPT": "550 5.7.1 denied"}},
			"smart.test", "permanent refused 550 5.7.1 @smart.test"},
	} {
		t.Run(what, func(t *testing.T) {
			l := newLab(t)
			h := l.host("smart.test", "127.0.0.2", test.host.script)
			l.record("alias.test", nameserver.A, "127.0.0.2")
			want(t, l.relay(smart(test.name, l.port, test.implicit)).Send(t.Context(), mailTo(t, "a@to.test")), test.text)
			if len(h.mails()) != 0 {
				t.Error("the mail went out")
			}
			if test.host.extensions == nil && h.heard("AUTH") != 0 {
				t.Errorf("said %q", h.said())
			}
		})
	}
}

func TestSmartHostByAddress(t *testing.T) {
	l := newLab(t)
	l.host("smart.test", "127.0.0.2", manners{implicit: true, extensions: []string{"AUTH PLAIN"}}.script)
	// The certificate names smart.test, not the address.
	want(t, l.relay(smart("127.0.0.2", l.port, true)).Send(t.Context(), mailTo(t, "a@to.test")), "temporary tls-failed 0 4.7.5 @127.0.0.2")
}
