package relay_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/dns/nameserver"
	"postern/server/directory"
	"postern/server/relay"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// stsLab is a laboratory in which policies are published, and a store that keeps
// them, on a clock that a test moves.
type stsLab struct {
	*lab
	store *storage.Store
	cfg   storage.Config
	org   uuid.UUID
	web   *web

	mu  sync.Mutex
	now time.Time
}

// web serves the policies of all domains.
type web struct {
	*httptest.Server
	asked atomic.Int64
	mu    sync.Mutex
	serve http.HandlerFunc
	cert  *tls.Certificate // nil: one for the name that is asked for
}

func newSTSLab(t *testing.T) *stsLab {
	l := &stsLab{lab: newLab(t), web: &web{}, now: time.Now()}
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	l.cfg = storage.Config{Dir: filepath.Join(home, "data"), Root: root, Now: l.clock}
	if l.store, err = storage.Open(t.Context(), l.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.store.Close() })
	org, err := directory.New(l.store, directory.Options{}).Organization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.org = org.ID
	l.web.Server = httptest.NewUnstartedServer(l.web)
	l.web.TLS = &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		l.web.mu.Lock()
		defer l.web.mu.Unlock()
		if l.web.cert != nil {
			return l.web.cert, nil
		}
		return new(l.ca.issue(t, hello.ServerName)), nil
	}}
	l.web.Config.ErrorLog = log.New(io.Discard, "", 0)
	l.web.StartTLS()
	t.Cleanup(l.web.Close)
	return l
}

func (l *stsLab) clock() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *stsLab) advance(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.asked.Add(1)
	w.mu.Lock()
	serve := w.serve
	w.mu.Unlock()
	serve(rw, r)
}

func (w *web) answer(serve http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serve = serve
}

// publish gives to.test, whose mail exchanger is mx.test, a policy.
func (l *stsLab) publish(id, mode string, mx ...string) {
	l.t.Helper()
	text := "version: STSv1\r\nmode: " + mode + "\r\nmax_age: 604800\r\n"
	for _, name := range mx {
		text += "mx: " + name + "\r\n"
	}
	l.record("to.test", nameserver.MX, "10 mx.test")
	l.record("_mta-sts.to.test", nameserver.TXT, "v=STSv1; id="+id)
	l.record("mta-sts.to.test", nameserver.A, "127.0.0.1")
	l.web.answer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/mta-sts.txt" || !strings.HasPrefix(r.Host, "mta-sts.to.test") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, text)
	})
}

func (l *stsLab) relay(change ...func(*relay.Config)) *relay.Relay {
	l.t.Helper()
	port := netip.MustParseAddrPort(l.web.Listener.Addr().String()).Port()
	return l.lab.relay(append([]func(*relay.Config){func(c *relay.Config) {
		c.Store, c.PolicyPort, c.Now, c.Timeouts.Policy = l.store, port, l.clock, 2*time.Second
	}}, change...)...)
}

func (l *stsLab) mail() relay.Message {
	m := mailTo(l.t, "a@to.test")
	m.Org = l.org
	return m
}

// events are the policies that were recorded.
func (l *stsLab) events() (all []string) {
	l.t.Helper()
	events, err := l.store.Events(l.t.Context(), storage.EventQuery{Verbs: []audit.Verb{audit.STSPolicySet, audit.STSPolicyDrop}})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range events {
		all = append(all, strings.TrimSpace(e.Verb.String()+" "+e.Fields.Text(audit.KeyMode)+e.Fields.Text(audit.KeyRule)))
	}
	return all
}

// secured is what a result says about TLS, on one line.
func secured(r relay.Result) string {
	s := fmt.Sprintf("%s/%s by %s", r.Policy, r.Demand, r.VerifiedBy)
	if r.TLSFailure != "" {
		s += " but " + r.TLSFailure
	}
	return s
}

func wantSecured(t *testing.T, r relay.Result, text string) {
	t.Helper()
	if s := secured(r); s != text {
		t.Errorf("got  %s\nwant %s", s, text)
	}
}

// TestRFC8461_Enforce: a policy is obeyed, whoever stands in between.
func TestRFC8461_Enforce(t *testing.T) {
	l := newSTSLab(t)
	stranger := newAuthority(t).issue(t, "mx.test")
	other := l.ca.issue(t, "other.test")
	old := l.ca.issueFor(t, "mx.test", -time.Minute)
	for i, test := range []struct {
		what     string
		mode, mx string
		host     manners
		text     string
		secured  string
	}{
		{"all is well", "enforce", "mx.test", secure, "delivered accepted 250 2.0.0 @mx.test", "sts/sts by sts"},
		{"wildcard", "enforce", "*.test", secure, "delivered accepted 250 2.0.0 @mx.test", "sts/sts by sts"},
		{"unknown authority", "enforce", "mx.test", manners{extensions: secure.extensions, cert: &stranger},
			"temporary tls-failed 0 4.7.5 @mx.test", "sts/sts by none but certificate-not-trusted"},
		{"another name", "enforce", "mx.test", manners{extensions: secure.extensions, cert: &other},
			"temporary tls-failed 0 4.7.5 @mx.test", "sts/sts by none but certificate-host-mismatch"},
		{"expired", "enforce", "mx.test", manners{extensions: secure.extensions, cert: &old},
			"temporary tls-failed 0 4.7.5 @mx.test", "sts/sts by none but certificate-expired"},
		{"STARTTLS stripped", "enforce", "mx.test", manners{}, "temporary tls-failed 0 4.7.4 @mx.test", "sts/sts by none but starttls-not-supported"},
		{"STARTTLS refused", "enforce", "mx.test", manners{extensions: secure.extensions, replies: map[string]string{"STARTTLS": "454 no"}},
			"temporary tls-failed 454 4.7.4 @mx.test", "sts/sts by none but starttls-not-supported"},
		{"not listed", "enforce", "mx.elsewhere.test", secure, "temporary not-in-policy 0 4.7.5 @mx.test", "sts/sts by none but validation-failure"},
		{"testing", "testing", "mx.test", secure, "delivered accepted 250 2.0.0 @mx.test", "sts/ by sts"},
		{"testing, unknown authority", "testing", "mx.test", manners{extensions: secure.extensions, cert: &stranger},
			"delivered accepted 250 2.0.0 @mx.test", "sts/ by none but certificate-not-trusted"},
		{"testing, stripped", "testing", "mx.test", manners{}, "delivered accepted 250 2.0.0 @mx.test", "sts/ by none but starttls-not-supported"},
		{"testing, not listed", "testing", "mx.elsewhere.test", secure, "delivered accepted 250 2.0.0 @mx.test", "sts/ by pkix but validation-failure"},
		{"none", "none", "", secure, "delivered accepted 250 2.0.0 @mx.test", "none/ by pkix"},
	} {
		t.Run(test.what, func(t *testing.T) {
			h := l.host("mx.test", fmt.Sprintf("127.0.0.%d", 10+i), test.host.script)
			l.publish(fmt.Sprint(i), test.mode, strings.Fields(test.mx)...)
			got := l.relay().Send(t.Context(), l.mail())
			want(t, got, test.text)
			wantSecured(t, got[0], test.secured)
			if delivered := strings.HasPrefix(test.text, "delivered"); delivered != (len(h.mails()) == 1) || !delivered && h.heard("MAIL") > 0 {
				t.Errorf("the host heard %q", h.said())
			}
			if n := len(got[0].Sessions); n != 1 || got[0].Sessions[0].Failure != got[0].TLSFailure || got[0].Sessions[0].PolicyDomain != "to.test" {
				t.Errorf("sessions %+v", got[0].Sessions)
			}
		})
	}
}

// TestRFC8461_Fallback: a host that the policy does not let pass is passed over,
// and the next one is asked (section 5).
func TestRFC8461_Fallback(t *testing.T) {
	l := newSTSLab(t)
	evil := l.host("evil.test", "127.0.0.2", secure.script)
	l.host("mx.test", "127.0.0.3", secure.script)
	l.publish("1", "enforce", "mx.test")
	l.record("to.test", nameserver.MX, "5 evil.test", "10 mx.test")
	got := l.relay().Send(t.Context(), l.mail())
	want(t, got, "delivered accepted 250 2.0.0 @mx.test")
	if len(evil.said()) != 0 || len(got[0].Sessions) != 2 || got[0].Sessions[0].Failure != "validation-failure" || got[0].Sessions[1].Failure != "" {
		t.Errorf("%q, %+v", evil.said(), got[0].Sessions)
	}
}

// TestRFC8461_Cache: section 5.1. A policy outlives restarts and whoever
// suppresses it, until it expires; a new id replaces it, and mode none ends it.
func TestRFC8461_Cache(t *testing.T) {
	l := newSTSLab(t)
	l.host("mx.test", "127.0.0.2", secure.script)
	l.publish("1", "enforce", "mx.test")
	send := func(secured string, asked int64) {
		t.Helper()
		got := l.relay().Send(t.Context(), l.mail()) // a new relay each time: only the store remembers
		wantSecured(t, got[0], secured)
		if n := l.web.asked.Load(); n != asked {
			t.Errorf("the policy was asked for %d times, want %d", n, asked)
		}
	}
	send("sts/sts by sts", 1)
	send("sts/sts by sts", 1)
	l.record("_mta-sts.to.test", nameserver.TXT) // suppressed
	send("sts/sts by sts", 1)
	l.record("_mta-sts.to.test", nameserver.TXT, "v=STSv1; id=2") // changed, but cannot be fetched
	l.web.answer(http.NotFound)
	send("sts/sts by sts but sts-policy-fetch-error", 2)
	l.advance(6 * 24 * time.Hour)
	send("sts/sts by sts but sts-policy-fetch-error", 3)
	l.advance(2 * 24 * time.Hour) // it has expired
	send("none/ by pkix but sts-policy-fetch-error", 4)
	l.publish("3", "testing", "mx.test")
	send("sts/ by sts", 5)
	l.publish("4", "none")
	send("none/ by pkix", 6)
	l.record("_mta-sts.to.test", nameserver.TXT)
	send("none/ by pkix", 6)
	if got := strings.Join(l.events(), ", "); got != "sts.set enforce, sts.set testing, sts.drop withdrawn" {
		t.Error(got)
	}
}

// TestRFC8461_NoFloodOfFetches: section 3.3. What failed is not fetched again for
// five minutes, and what says that there is no policy for an hour.
func TestRFC8461_NoFloodOfFetches(t *testing.T) {
	l := newSTSLab(t)
	l.host("mx.test", "127.0.0.2", secure.script)
	l.publish("1", "enforce", "mx.test")
	l.web.answer(http.NotFound)
	r := l.relay()
	for _, step := range []struct {
		wait  time.Duration
		asked int64
	}{{0, 1}, {4 * time.Minute, 1}, {2 * time.Minute, 2}} {
		l.advance(step.wait)
		wantSecured(t, r.Send(t.Context(), l.mail())[0], "none/ by pkix but sts-policy-fetch-error")
		if n := l.web.asked.Load(); n != step.asked {
			t.Errorf("asked %d times, want %d", n, step.asked)
		}
	}
	l.publish("2", "none")
	for range 3 {
		wantSecured(t, r.Send(t.Context(), l.mail())[0], "none/ by pkix")
	}
	r.Forget()
	l.publish("3", "enforce", "mx.test")
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if got := r.Send(context.Background(), l.mail()); got[0].VerifiedBy != "sts" {
				t.Errorf("%s", secured(got[0]))
			}
		})
	}
	all.Wait()
	if n := l.web.asked.Load(); n != 4 {
		t.Errorf("asked %d times, want 4", n)
	}
}

// TestRFC8461_Renewal: section 10.2. Policies in use are fetched again long before
// they expire, and those that nobody uses end.
func TestRFC8461_Renewal(t *testing.T) {
	l := newSTSLab(t)
	l.host("mx.test", "127.0.0.2", secure.script)
	l.publish("1", "enforce", "mx.test")
	r := l.relay()
	r.Send(t.Context(), l.mail())
	renew := func(wait time.Duration, asked int64) {
		t.Helper()
		l.advance(wait)
		if err := r.RenewPolicies(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := l.web.asked.Load(); n != asked {
			t.Errorf("asked %d times, want %d", n, asked)
		}
	}
	renew(time.Hour, 1)
	renew(23*time.Hour, 2)
	renew(time.Hour, 2)
	l.web.answer(http.NotFound)
	renew(24*time.Hour, 3) // fails, and is tried again
	renew(30*time.Minute, 3)
	l.publish("2", "enforce", "mx.test", "mx2.test")
	renew(time.Hour, 4)
	kept, err := l.store.STSPolicy(t.Context(), l.org, "to.test")
	if err != nil || kept.RecordID != "2" || !strings.Contains(kept.Text, "mx2.test") || !kept.Expires.After(l.clock().Add(6*24*time.Hour)) {
		t.Errorf("%+v, %v", kept, err)
	}
	for range 40 { // nothing is sent for 40 days
		l.advance(24 * time.Hour)
		if err := r.RenewPolicies(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.store.STSPolicy(t.Context(), l.org, "to.test"); err != storage.ErrNotFound {
		t.Errorf("%v: the policy is still there", err)
	}
	if all := l.events(); all[len(all)-1] != "sts.drop expired" {
		t.Errorf("%q", all)
	}
}

// TestRFC8461_OrganizationsShareNothing: // AC-19
func TestRFC8461_OrganizationsShareNothing(t *testing.T) {
	l := newSTSLab(t)
	l.host("mx.test", "127.0.0.2", secure.script)
	l.publish("1", "enforce", "mx.test")
	l.relay().Send(t.Context(), l.mail())
	var other storage.Organization
	if err := l.store.Write(t.Context(), storage.System, func(tx *storage.Tx) (err error) {
		other = storage.Organization{Name: "other"}
		return tx.CreateOrganization(tx.Record(audit.Event{Verb: audit.OrganizationCreate, Outcome: audit.OK}), &other)
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.store.STSPolicy(t.Context(), other.ID, "to.test"); err != storage.ErrNotFound {
		t.Error(err)
	}
	if err := l.store.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := storage.VerifyData(t.Context(), l.cfg); err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestHostilePolicies: what a policy's host does is bounded, and costs the domain
// its policy, not us.
func TestHostilePolicies(t *testing.T) {
	big := func(w http.ResponseWriter, n int) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "version: STSv1\nmode: enforce\nmx: mx.test\nmax_age: 60\n")
		line := []byte("x: " + strings.Repeat("y", 60) + "\n")
		for i := 0; i < n; i += len(line) {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}
	valid := "version: STSv1\nmode: enforce\nmx: mx.test\nmax_age: 60\n"
	for what, test := range map[string]struct {
		serve   http.HandlerFunc
		failure string
	}{
		"1 GB": {func(w http.ResponseWriter, _ *http.Request) { big(w, 1<<30) }, "sts-policy-invalid"},
		"1 GB announced": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(1<<30))
			big(w, 1<<30)
		}, "sts-policy-invalid"},
		"slow drip": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				w.Write([]byte("#"))
				w.(http.Flusher).Flush()
				select {
				case <-tick.C:
				case <-r.Context().Done():
					return
				}
			}
		}, "sts-policy-fetch-error"},
		"silence":  {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "sts-policy-fetch-error"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "sts-policy-fetch-error"},
		"HTML": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, valid)
		}, "sts-policy-fetch-error"},
		"no type": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, valid)
		}, "sts-policy-fetch-error"},
		"204": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "sts-policy-fetch-error"},
		"long header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
			io.WriteString(w, valid)
		}, "sts-policy-fetch-error"},
		"gzip": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))
		}, "sts-policy-invalid"},
		"nonsense": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, "not a policy")
		}, "sts-policy-invalid"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l := newSTSLab(t)
			l.host("mx.test", "127.0.0.2", secure.script)
			l.publish("1", "enforce", "mx.test")
			l.web.answer(test.serve)
			got := l.relay().Send(t.Context(), l.mail())
			want(t, got, "delivered accepted 250 2.0.0 @mx.test") // RFC 8461, section 5.1: as if there were none
			wantSecured(t, got[0], "none/ by pkix but "+test.failure)
			if s := got[0].Sessions; len(s) != 2 || s[0].Policy != "sts" || s[0].Failure != test.failure || s[1].Failure != "" {
				t.Errorf("%+v", s)
			}
			if len(l.events()) != 0 {
				t.Error("something was kept")
			}
		})
	}
}

// TestRFC8461_WebPKI: section 3.3. The policy's host must be who it says, and must
// not be in our own network.
func TestRFC8461_WebPKI(t *testing.T) {
	l := newSTSLab(t)
	l.host("mx.test", "127.0.0.2", secure.script)
	l.publish("1", "enforce", "mx.test")
	l.web.cert = new(l.ca.issue(t, "to.test"))
	wantSecured(t, l.relay().Send(t.Context(), l.mail())[0], "none/ by pkix but sts-webpki-invalid")
	l.web.cert = nil
	got := l.relay(func(c *relay.Config) { c.AllowPrivate = false }).Send(t.Context(), l.mail())
	if s := got[0].Sessions; len(s) == 0 || s[0].Failure != "sts-policy-fetch-error" {
		t.Errorf("%+v", s)
	}
	if n := l.web.asked.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// TestCO1_Demanded: what a rule of ours demands no destination loosens,
// and a name from unsigned DNS proves nothing.
func TestCO1_Demanded(t *testing.T) {
	l := newSTSLab(t)
	l.host("mx.test", "127.0.0.2", secure.script)
	l.host("mx.to.test", "127.0.0.3", secure.script)
	l.host("plain.to.test", "127.0.0.4", manners{}.script)
	l.publish("1", "testing", "mx.test")
	stranger := newAuthority(t).issue(t, "wrong.to.test")
	l.host("wrong.to.test", "127.0.0.5", manners{extensions: secure.extensions, cert: &stranger}.script)
	for _, test := range []struct {
		what, mx, text, secured string
		sts                     bool
	}{
		{"listed by a policy", "mx.test", "delivered accepted 250 2.0.0 @mx.test", "sts/policy by sts", true},
		{"a stranger's name", "mx.test", "temporary tls-failed 0 4.7.5 @mx.test", "none/policy by none but validation-failure", false},
		{"below the domain", "mx.to.test", "delivered accepted 250 2.0.0 @mx.to.test", "none/policy by pkix", false},
		{"in clear", "plain.to.test", "temporary tls-failed 0 4.7.4 @plain.to.test", "none/policy by none but starttls-not-supported", false},
		{"wrong certificate", "wrong.to.test", "temporary tls-failed 0 4.7.5 @wrong.to.test", "none/policy by none but certificate-not-trusted", false},
	} {
		t.Run(test.what, func(t *testing.T) {
			l.record("to.test", nameserver.MX, "10 "+test.mx)
			m := l.mail()
			m.Authenticated, m.TLSOptional = true, true // the field weakens nothing of ours
			if !test.sts {
				m.Org = uuid.Nil
			}
			got := l.relay().Send(t.Context(), m)
			want(t, got, test.text)
			wantSecured(t, got[0], test.secured)
		})
	}
}

// TestRFC8689: REQUIRETLS goes along with the message or the message does not go;
// TLS-Required: No sets aside what the destination asks, and nothing else.
func TestRFC8689(t *testing.T) {
	l := newSTSLab(t)
	promises := manners{extensions: append(slices.Clone(secure.extensions), "REQUIRETLS")}
	h := l.host("mx.test", "127.0.0.2", promises.script)
	l.host("not.test", "127.0.0.3", secure.script)
	l.host("plain.test", "127.0.0.4", manners{}.script)
	l.publish("1", "enforce", "mx.test", "not.test", "plain.test")
	send := func(mx string, change func(*relay.Message), text, secured string) {
		t.Helper()
		l.record("to.test", nameserver.MX, strings.Split(mx, ",")...)
		m := l.mail()
		change(&m)
		got := l.relay().Send(t.Context(), m)
		want(t, got, text)
		wantSecured(t, got[0], secured)
	}
	require := func(m *relay.Message) { m.RequireTLS, m.TLSOptional = true, true }
	send("10 mx.test", require, "delivered accepted 250 2.0.0 @mx.test", "sts/requiretls by sts")
	if h.heard("MAIL FROM:<agent@from.test> REQUIRETLS") != 1 {
		t.Errorf("said %q", h.said())
	}
	send("5 not.test,10 mx.test", require, "delivered accepted 250 2.0.0 @mx.test", "sts/requiretls by sts")
	send("10 not.test", require, "permanent no-requiretls 0 5.7.30 @not.test", "sts/requiretls by sts")
	send("10 plain.test", require, "temporary tls-failed 0 4.7.4 @plain.test", "sts/requiretls by none but starttls-not-supported")

	send("10 plain.test", func(*relay.Message) {}, "temporary tls-failed 0 4.7.4 @plain.test", "sts/sts by none but starttls-not-supported")
	send("10 plain.test", func(m *relay.Message) { m.TLSOptional = true }, "delivered accepted 250 2.0.0 @plain.test", "sts/ by none but starttls-not-supported")
	if h.heard("MAIL FROM:<agent@from.test> REQUIRETLS") != 2 {
		t.Errorf("said %q", h.said())
	}
}

// TestOddMXNames: octets that are no name's are asked of nobody and shown to nobody.
func TestOddMXNames(t *testing.T) {
	l := newLab(t)
	d := newSigned(t, l)
	d.add(`odd.test. 1 IN MX 5 evil\010mx.test.`, `odd.test. 1 IN MX 6 a\000b.test.`, `odd.test. 1 IN MX 7 -.\255.test.`, `odd.test. 1 IN MX 8 \(\)\"\;.test.`)
	r := l.relay(func(c *relay.Config) { c.Resolver = d.resolver() })
	want(t, r.Send(t.Context(), mailTo(t, "a@odd.test")), "temporary dns-failed 0 4.4.3")
	for _, q := range d.asked() {
		if strings.Contains(q, "evil") || strings.Contains(q, `\`) {
			t.Errorf("asked %q", q)
		}
	}
}
