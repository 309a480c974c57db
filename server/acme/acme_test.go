package acme_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"postern/dns"
	"postern/dns/nameserver"
	"postern/server"
	"postern/server/acme"
	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// world is a store with a domain, and a keeper over it.
type world struct {
	*acme.Keeper
	t     *testing.T
	store *storage.Store
	org   storage.Organization
	dir   *directory.Directory
	names *nameserver.Server
	ahead atomic.Int64
	o     acme.Options
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newWorld makes a keeper that asks an authority at which nobody is.
func newWorld(t *testing.T, own func() *tls.Certificate) *world {
	t.Helper()
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	w := &world{t: t, names: nameserver.New()}
	w.must(err)
	w.store, err = storage.Open(t.Context(), storage.Config{Dir: filepath.Join(home, "data"), Root: root, Now: w.now})
	w.must(err)
	t.Cleanup(func() { w.store.Close() })
	w.dir = directory.New(w.store, directory.Options{Now: w.now})
	w.org, err = w.dir.Organization(t.Context())
	w.must(err)
	w.must(w.names.SetZone(nameserver.Zone{Origin: "test", Nameservers: []string{"ns.test"}, Records: []nameserver.Record{
		{Name: "mail.test", Type: nameserver.A, Data: "192.0.2.25"},
		{Name: "mta-sts.here.test", Type: nameserver.CNAME, Data: "mail.test"},
		{Name: "autoconfig.here.test", Type: nameserver.A, Data: "192.0.2.99"},
	}}))
	w.must(w.names.Start("127.0.0.1:0"))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.names.Stop(ctx)
	})
	resolver, err := dns.NewClient(dns.Config{Servers: []string{w.names.Addr().String()}})
	w.must(err)
	w.o = acme.Options{Host: "mail.test", Directory: "https://" + nobody(t) + "/dir", Challenges: []string{acme.HTTP01, acme.TLSALPN01},
		Resolver: resolver, Own: own, Now: w.now}
	w.open()
	return w
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// open makes the keeper, as a start does.
func (w *world) open() {
	w.t.Helper()
	k, err := acme.New(w.t.Context(), w.store, w.o)
	w.must(err)
	w.t.Cleanup(k.Close)
	w.Keeper = k
}

// later moves the clock and lets the keeper do what is due.
func (w *world) later(d time.Duration) {
	w.t.Helper()
	w.ahead.Add(int64(d))
	w.must(w.Round(w.t.Context()))
}

func (w *world) list() []acme.Status {
	w.t.Helper()
	all, err := w.List(w.t.Context(), w.org.ID)
	w.must(err)
	return all
}

// failures are the failed attempts on record.
func (w *world) failures() []audit.Event {
	w.t.Helper()
	events, err := w.store.Events(w.t.Context(), storage.EventQuery{Verbs: []audit.Verb{audit.CertificateFail}})
	w.must(err)
	return events
}

func (w *world) alerts() []storage.Alert {
	w.t.Helper()
	all, err := w.store.Alerts(w.t.Context(), w.org.ID, [16]byte{}, 100, true)
	w.must(err)
	return all
}

// TestBackOff: an authority that fails is asked ever less often, also by a server that is started again and again; each
// attempt is on record, and the third failure for the server's own name is an alert.
func TestBackOff(t *testing.T) {
	w := newWorld(t, nil)
	w.later(0)
	for range 5 {
		w.open()
		w.later(time.Second)
	}
	if n := len(w.failures()); n != 1 {
		t.Fatalf("%d attempts within seconds", n)
	}
	for _, step := range []time.Duration{6 * time.Minute, 31 * time.Minute} {
		w.later(step)
		w.later(time.Second)
	}
	if n := len(w.failures()); n != 3 {
		t.Fatalf("%d attempts in an hour, want 3", n)
	}
	for range 10 * 24 {
		w.later(time.Hour)
	}
	all := w.failures()
	if n := len(all); n < 12 || n > 16 {
		t.Errorf("%d attempts in ten days", n)
	}
	if e := all[0]; e.Outcome != audit.Failed || e.Fields.Text(audit.KeyRule) != "unreachable" || e.Personal.Text(audit.KeyDomain) != "mail.test" ||
		e.Personal.Text(audit.KeyText) == "" {
		t.Errorf("%+v", e)
	}
	if a := w.alerts(); len(a) < 9 || len(a) > 12 || a[0].Kind != storage.AlertCertificateExpiring {
		t.Errorf("%d alerts in ten days, one a day: %+v", len(a), a)
	}
	s := w.list()[0]
	if s.State != acme.Missing || s.Source != acme.SelfSigned || s.Failures != len(all) || s.Problem == "" || !s.Due.After(w.now()) {
		t.Errorf("%+v", s)
	}
	if w.Check() == nil {
		t.Error("health says that all is well")
	}
}

// TestNamesThatLeadHere: of the names of a domain, those count that have an address of this server, and only as long as
// the domain is here.
func TestNamesThatLeadHere(t *testing.T) {
	w := newWorld(t, nil)
	_, _, err := w.dir.AddDomain(t.Context(), storage.System, w.org.ID, "here.test", directory.AssumeOwned{Reason: "a test"})
	w.must(err)
	names := func() (all []string) {
		for _, s := range w.list() {
			all = append(all, s.Name)
		}
		return all
	}
	w.later(0)
	if all := names(); len(all) != 2 || all[0] != "mail.test" || all[1] != "mta-sts.here.test" {
		t.Errorf("%q", all)
	}
	w.must(w.names.Replace("autoconfig.here.test", nameserver.A, 0, "192.0.2.25"))
	w.later(20 * time.Minute)
	if all := names(); len(all) != 3 {
		t.Errorf("after a record was mended: %q", all)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	w.must(w.names.Stop(ctx))
	w.later(2 * time.Hour)
	if all := names(); len(all) != 3 {
		t.Errorf("while no name server answers: %q", all)
	}
	w.must(w.dir.RemoveDomain(t.Context(), storage.System, w.org.ID, "here.test"))
	w.later(time.Minute)
	if all := names(); len(all) != 1 {
		t.Errorf("after the domain is gone: %q", all)
	}
	if err := w.Renew(t.Context(), storage.System, w.org.ID, "mta-sts.here.test"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// TestOwnFilesComeFirst: the operator's own certificate is shown where it covers what was asked, nobody is asked for
// another, and its end is warned of once a day.
func TestOwnFilesComeFirst(t *testing.T) {
	ca, err := server.NewAuthority(time.Now(), "mail.test")
	if err != nil {
		t.Fatal(err)
	}
	config, err := ca.Server()
	if err != nil {
		t.Fatal(err)
	}
	own := &config.Certificates[0]
	w := newWorld(t, func() *tls.Certificate { return own })
	w.later(0)
	for _, asked := range []string{"", "mail.test", "MAIL.test.", "elsewhere.test"} {
		if got, err := w.GetCertificate(&tls.ClientHelloInfo{ServerName: asked}); err != nil || got != own {
			t.Errorf("%q: %v, %v", asked, got, err)
		}
	}
	if s := w.list(); len(s) != 1 || s[0].Source != acme.FromFiles || s[0].State != acme.Good || len(w.failures()) != 0 {
		t.Errorf("%+v", s)
	}
	w.later(time.Until(own.Leaf.NotAfter) - 15*24*time.Hour)
	if a := w.alerts(); len(a) != 0 || w.Check() != nil {
		t.Errorf("15 days before its end: %+v", a)
	}
	for range 3 * 24 {
		w.later(time.Hour)
	}
	if a := w.alerts(); len(a) < 2 || len(a) > 3 {
		t.Errorf("12 days before its end: %+v", a)
	}
	w.later(13 * 24 * time.Hour)
	if s := w.list(); w.Check() == nil || s[0].State != acme.Ended {
		t.Errorf("after its end: %+v", s)
	}
}

// TestAC10_StopGap: a handshake is never without a certificate, and what stands in is renewed before it ends. A handshake
// for a challenge that is not open gets nothing.
func TestAC10_StopGap(t *testing.T) {
	w := newWorld(t, nil)
	show := func() *x509.Certificate {
		t.Helper()
		cert, err := w.GetChallengeCertificate(&tls.ClientHelloInfo{ServerName: "mail.test", SupportedProtos: []string{"http/1.1"}})
		w.must(err)
		if w.must(cert.Leaf.VerifyHostname("mail.test")); w.now().After(cert.Leaf.NotAfter) {
			t.Errorf("ended at %s", cert.Leaf.NotAfter)
		}
		return cert.Leaf
	}
	first := show()
	w.later(40 * 24 * time.Hour)
	if show().Equal(first) {
		t.Error("it is the same after its end")
	}
	if _, err := w.GetChallengeCertificate(&tls.ClientHelloInfo{ServerName: "mail.test", SupportedProtos: []string{acme.ALPN}}); err == nil {
		t.Error("a challenge that nobody opened is answered")
	}
	if _, ok := w.HTTPChallenge("mail.test", "token"); ok {
		t.Error("a challenge that nobody opened is answered")
	}
}
