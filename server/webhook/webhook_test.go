package webhook

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	mdns "github.com/miekg/dns"

	"postern/dns"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// The signature of the reference libraries' own test.
func TestStandardSignature(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if text := secretText(key); text != "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" {
		t.Error(text)
	}
	if strings.Contains(messageID(storage.NewID()), ".") {
		t.Error("the id has a full stop, by which the signed text is divided")
	}
}

func TestURLs(t *testing.T) {
	for url, want := range map[string][2]bool{ // on the Internet, in a laboratory
		"https://example.com/hook": {true, true}, "https://example.com:8443/": {true, true},
		"http://example.com/": {false, false}, "ftp://example.com/": {false, false}, "example.com": {false, false}, "https:///x": {false, false},
		"https://u:p@example.com/": {false, false}, "https://example.com/#x": {false, false},
		"https://127.0.0.1/": {false, true}, "http://127.0.0.1:80/": {false, true}, "http://localhost/": {false, true}, "https://localhost/": {false, true},
		"https://[::1]/": {false, true}, "https://[::ffff:127.0.0.1]/": {false, true}, "https://[64:ff9b::7f00:1]/": {false, true},
		"https://169.254.169.254/latest/meta-data": {false, true}, "https://10.0.0.1/": {false, true}, "http://10.0.0.1/": {false, false},
		"https://8.8.8.8/": {true, true}, "https://" + strings.Repeat("a", maxURL) + "/": {false, false},
	} {
		for i, private := range []bool{false, true} {
			if err := checkURL(url, private); (err == nil) != want[i] {
				t.Errorf("%s, private %t: %v", url, private, err)
			}
		}
	}
}

// names is a name server whose answers a test chooses, as a hostile one does.
type names struct {
	mu     sync.Mutex
	answer func(asked int) []string // addresses, by how often A was asked
	asked  int
}

func (n *names) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := new(mdns.Msg).SetReply(q)
	if q.Question[0].Qtype == mdns.TypeA {
		for _, ip := range n.answer(n.asked) {
			m.Answer = append(m.Answer, &mdns.A{Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeA, Class: mdns.ClassINET}, A: net.ParseIP(ip)})
		}
		n.asked++
	}
	w.WriteMsg(m)
}

// lab is a store, a name server and a program that listens.
type lab struct {
	*testing.T
	store  *storage.Store
	cfg    storage.Config
	org    storage.Organization
	names  *names
	o      Options
	sender *Sender
	server *httptest.Server

	mu     sync.Mutex
	now    time.Time
	got    []request
	handle http.HandlerFunc
}

type request struct {
	head http.Header
	body string
}

func newLab(t *testing.T) *lab {
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	l := &lab{T: t, now: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC), names: &names{answer: func(int) []string { return []string{"127.0.0.1"} }}}
	l.must(err)
	l.cfg = storage.Config{Dir: filepath.Join(home, "data"), Root: root, Now: l.clock}
	l.store, err = storage.Open(t.Context(), l.cfg)
	l.must(err)
	t.Cleanup(func() { l.store.Close() })
	l.must(l.store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		l.org = storage.Organization{Name: "lab"}
		return tx.CreateOrganization(tx.Record(audit.Event{Verb: audit.OrganizationCreate}), &l.org)
	}))
	l.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		l.got = append(l.got, request{r.Header.Clone(), string(body)})
		handle := l.handle
		l.mu.Unlock()
		if handle != nil {
			handle(w, r)
		}
	}))
	t.Cleanup(l.server.Close)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	l.must(err)
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	l.must(err)
	for _, s := range []*mdns.Server{{Listener: tcp, Handler: l.names}, {PacketConn: udp, Handler: l.names}} {
		go s.ActivateAndServe()
		t.Cleanup(func() { s.Shutdown() })
	}
	resolver, err := dns.NewClient(dns.Config{Servers: []string{tcp.Addr().String()}})
	l.must(err)
	roots := x509.NewCertPool()
	roots.AddCert(l.server.Certificate())
	l.o = Options{Resolver: resolver, Roots: roots, AllowPrivate: true, Now: l.clock}
	l.sender = NewSender(l.store, l.o)
	return l
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lab) clock() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *lab) advance(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

func (l *lab) replies(h http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handle = h
}

func (l *lab) requests() []request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// url is one of the server by a name that its certificate has.
func (l *lab) url(host string) string {
	_, port, _ := net.SplitHostPort(l.server.Listener.Addr().String())
	return "https://" + host + ":" + port + "/hook"
}

func (l *lab) create(url string) Created {
	l.Helper()
	w, err := l.sender.Create(l.Context(), storage.System, l.org.ID, url, nil)
	l.must(err)
	return w
}

// alert raises one and has it announced.
func (l *lab) alert(kind storage.AlertKind) {
	l.Helper()
	l.must(l.store.RaiseAlert(l.Context(), storage.Alert{Head: storage.Head{Org: l.org.ID}, Kind: kind, Agent: storage.NewID(), Detail: "From 192.0.2.0/24."}))
	all, err := l.store.Alerts(l.Context(), l.org.ID, uuid.Nil, 1000, true)
	l.must(err)
	note, err := l.sender.Announce(l.Context(), &all[len(all)-1])
	l.must(err)
	l.must(l.store.Upkeep(l.Context(), note))
}

// round makes the attempts that are due, and returns the events of all so far.
func (l *lab) round() []audit.Event {
	l.Helper()
	due, err := l.store.DueDeliveries(l.Context(), l.clock(), 100)
	l.must(err)
	for _, d := range due {
		l.must(l.sender.deliver(l.Context(), d))
	}
	events, err := l.store.Events(l.Context(), storage.EventQuery{Verbs: []audit.Verb{audit.WebhookAttempt}})
	l.must(err)
	return events
}

func (l *lab) test(w Created) Tested {
	l.Helper()
	r, err := l.sender.Test(l.Context(), storage.System, l.org.ID, w.ID)
	l.must(err)
	return r
}

// verify is the other side of the signature, as the standard tells it.
func verify(t *testing.T, r request, secrets ...string) (valid int) {
	t.Helper()
	seconds, err := strconv.ParseInt(r.head.Get("webhook-timestamp"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(strings.Fields(r.head.Get("webhook-signature")), sign(key, r.head.Get("webhook-id"), time.Unix(seconds, 0), []byte(r.body))) {
			valid++
		}
	}
	return valid
}

// PI-7, CO-6: an alert reaches a webhook, signed, with ids and kinds and nothing of its detail; after a rotation it is
// signed by both secrets, and after the overlap by the new one.
func TestPI7_Delivered(t *testing.T) {
	l := newLab(t)
	w := l.create(l.url("example.com"))
	l.alert(storage.AlertNewNetwork)
	if events := l.round(); len(events) != 1 || events[0].Outcome != audit.OK || events[0].Object != w.ID {
		t.Fatalf("%+v", events)
	}
	r := l.requests()[0]
	if verify(t, r, w.Secret) != 1 || r.head.Get("Content-Type") != "application/json" || strings.Contains(r.body, "192.0.2") {
		t.Errorf("%v %s", r.head, r.body)
	}
	var body struct {
		Type string
		Data struct{ Kind string }
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.Type != "alert.raised" || body.Data.Kind != "new-network" {
		t.Errorf("%s: %v", r.body, err)
	}
	next, err := l.sender.Rotate(t.Context(), storage.System, l.org.ID, w.ID, time.Hour)
	l.must(err)
	l.test(w)
	l.advance(time.Hour)
	l.test(w)
	if all := l.requests(); verify(t, all[1], w.Secret, next.Secret) != 2 || verify(t, all[2], w.Secret) != 0 || verify(t, all[2], next.Secret) != 1 {
		t.Error("the secrets do not sign as they should")
	}
	l.must(l.sender.Remove(t.Context(), storage.System, l.org.ID, w.ID))
	l.alert(storage.AlertOddHours)
	if len(l.round()) != 3 {
		t.Error("a webhook that was removed was told something")
	}
}

// What fails is tried again, by the schedule of the standard, with the same id, also by another process after a crash
// between the attempt and its record.
func TestAtLeastOnce(t *testing.T) {
	l := newLab(t)
	w := l.create(l.url("example.com"))
	l.alert(storage.AlertNewNetwork)
	due, err := l.store.DueDeliveries(t.Context(), l.clock(), 10)
	l.must(err)
	hook, err := l.store.Webhook(t.Context(), l.org.ID, w.ID)
	l.must(err)
	if r := l.sender.attempt(t.Context(), &hook, messageID(due[0].ID), due[0].Payload); !r.ok() {
		t.Fatal(r)
	}
	l.must(l.store.Abandon()) // as a kill leaves it: nothing of the attempt was recorded
	l.store, err = storage.Open(context.Background(), l.cfg)
	l.must(err)
	l.sender = NewSender(l.store, l.o)
	l.replies(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	l.round()
	for _, pause := range schedule {
		if n := len(l.round()); n != len(l.requests())-1 {
			t.Fatalf("%d events for %d requests", n, len(l.requests()))
		}
		l.advance(pause + pause/10 + time.Millisecond)
		l.round()
	}
	all := l.requests()
	if len(all) != 2+len(schedule) {
		t.Errorf("%d requests", len(all))
	}
	for _, r := range all {
		if r.head.Get("webhook-id") != messageID(due[0].ID) || verify(t, r, w.Secret) != 1 {
			t.Errorf("%v", r.head)
		}
	}
	if waiting, _ := l.sender.Waiting(t.Context(), w.ID); waiting != 0 {
		t.Error("what was given up waits still")
	}
}

// A webhook without success for five days, or that is gone, is disabled, with an alert, until a person says otherwise.
func TestDisabled(t *testing.T) {
	l := newLab(t)
	w := l.create(l.url("example.com"))
	l.replies(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	for _, want := range []storage.WebhookState{storage.WebhookActive, storage.WebhookDisabled} {
		l.alert(storage.AlertNewNetwork)
		for _, pause := range schedule {
			l.round()
			l.advance(pause + pause/10 + time.Millisecond)
		}
		l.round()
		if hook, err := l.store.Webhook(t.Context(), l.org.ID, w.ID); err != nil || hook.State != want {
			t.Fatalf("%s, %v, want %s", hook.State, err, want)
		}
	}
	hook, err := l.store.Webhook(t.Context(), l.org.ID, w.ID)
	l.must(err)
	alerts, err := l.store.Alerts(t.Context(), l.org.ID, uuid.Nil, 10, true)
	l.must(err)
	if last := alerts[len(alerts)-1]; hook.State != storage.WebhookDisabled || last.Kind != storage.AlertWebhookDisabled || last.Object != w.ID {
		t.Fatalf("%+v, %+v", hook, alerts)
	}
	n := len(l.requests())
	l.alert(storage.AlertOddHours)
	l.round()
	if len(l.requests()) != n {
		t.Error("a disabled webhook was told something")
	}
	_, err = l.sender.Enable(t.Context(), storage.System, l.org.ID, w.ID)
	l.must(err)
	l.replies(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	l.alert(storage.AlertSpikeSends)
	l.round()
	if hook, _ := l.store.Webhook(t.Context(), l.org.ID, w.ID); hook.State != storage.WebhookDisabled {
		t.Error("410 Gone does not disable")
	}
	l.must(l.store.Close())
	if r, err := storage.VerifyData(context.Background(), l.cfg); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

// The guard: what a hostile name server or web server may try.
func TestHostileHosts(t *testing.T) {
	l := newLab(t)
	guarded := l.o
	guarded.AllowPrivate = false
	strict := NewSender(l.store, guarded)
	w := l.create(l.url("example.com"))
	for _, answer := range [][]string{{"127.0.0.1"}, {"169.254.169.254"}, {"10.0.0.1", "192.168.0.1", "100.64.0.1"}, {"0.0.0.0"}, {"224.0.0.1"}} {
		l.names.answer = func(int) []string { return answer }
		r, err := strict.Test(t.Context(), storage.System, l.org.ID, w.ID)
		if err != nil || r.Rule != "private-address" {
			t.Errorf("%v: %+v, %v", answer, r, err)
		}
	}
	if len(l.requests()) != 0 {
		t.Fatal("a private address was dialled")
	}
	for _, ip := range []string{"::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fd00:ec2::254", "::1"} {
		if _, err := (guard{guarded}).addresses(t.Context(), netip.MustParseAddr(ip).String()); err == nil {
			t.Errorf("%s may be dialled", ip)
		}
	}

	// Rebinding: each attempt asks once, and dials what it was answered.
	l.names.answer = func(asked int) []string { return []string{[]string{"127.0.0.1", "127.0.0.2"}[asked%2]} }
	l.names.asked = 0
	if r := l.test(w); !r.OK || l.names.asked != 1 {
		t.Errorf("%+v after %d questions", r, l.names.asked)
	}
	l.names.answer = func(int) []string { return nil }
	if r := l.test(w); r.Rule != "lookup" {
		t.Errorf("%+v", r)
	}

	l.names.answer = func(int) []string { return []string{"127.0.0.1"} }
	if r := l.test(l.create(l.url("other.test"))); r.Rule != "certificate" {
		t.Errorf("another name than the certificate's: %+v", r)
	}
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer inside.Close()
	l.replies(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
	})
	if r := l.test(w); r.Rule != "redirect" || r.Code != 307 {
		t.Errorf("%+v", r)
	}
	t.Setenv("HTTPS_PROXY", inside.URL)
	stop := make(chan struct{})
	defer close(stop)
	l.replies(func(w http.ResponseWriter, _ *http.Request) { // a reply without end
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	if r := l.test(w); !r.OK {
		t.Errorf("%+v", r)
	}
	l.sender.client.Timeout = 100 * time.Millisecond
	l.replies(func(http.ResponseWriter, *http.Request) { <-stop })
	if r := l.test(w); r.Rule != "timeout" {
		t.Errorf("%+v", r)
	}
}
