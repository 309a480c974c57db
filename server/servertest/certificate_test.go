package servertest_test

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server"
	"postern/server/acme"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// authority starts a certificate authority for a test.
func authority(t *testing.T, resolver string) *servertest.Pebble {
	t.Helper()
	p, err := servertest.NewPebble(t.TempDir(), resolver)
	fatal(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// doors are all doors that do TLS.
var doors = []string{"smtp", "submission", "submissions", "imaps", "https"}

// shows holds that every door shows the same certificate of the authority, and returns it.
func shows(t *testing.T, ca *servertest.Pebble, p *servertest.Postern) *x509.Certificate {
	t.Helper()
	var first *x509.Certificate
	for _, door := range doors {
		cert, err := ca.Served(p, door, p.Host)
		fatal(t, err)
		if first == nil {
			first = cert
		}
		if !cert.Equal(first) {
			t.Errorf("%s shows another certificate than %s", door, doors[0])
		}
	}
	return first
}

// TestCO1_CertificatesComeAndChange: by each challenge a whole server gets a certificate, has it after a start without
// asking again, and renews it in time, on all doors and without a start. No file of it shows the key.
func TestCO1_CertificatesComeAndChange(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{acme.HTTP01, acme.TLSALPN01, acme.DNS01} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			w, err := servertest.NewWorld()
			fatal(t, err)
			t.Cleanup(func() { w.Close() })
			resolver, at := w.Names.Addr().String(), servertest.FreeAddr(t, 0)
			if challenge == acme.DNS01 {
				resolver = at.String() // the server's own name server, as if its zone were delegated
			}
			ca := authority(t, resolver)
			dir := t.TempDir()
			p := servertest.New(t, servertest.Options{World: w, Pebble: ca, Dir: dir, Configure: func(c *server.Config) {
				c.ACME.Challenges = []string{challenge}
				c.Listen.DNS, c.Addresses = at.String(), []string{"127.0.77.2"}
			}})
			changes(t, ca, p, challenge)
			unreadable(t, filepath.Join(dir, "data"), "PRIVATE KEY", "BEGIN CERTIFICATE", "mta-sts")
		})
	}
}

// changes starts a server again and waits until it has renewed its certificate.
func changes(t *testing.T, ca *servertest.Pebble, p *servertest.Postern, challenge string) {
	t.Helper()
	first := shows(t, ca, p)
	fatal(t, p.Down())
	fatal(t, p.Up())
	if again := shows(t, ca, p); !again.Equal(first) {
		t.Error("a start asked for another certificate")
	}
	fatal(t, p.World.Advance(61*24*time.Hour))
	waitFor(t, "another certificate", func() bool {
		now, err := ca.Served(p, "imaps", p.Host)
		return err == nil && !now.Equal(first)
	})
	shows(t, ca, p)
	events, err := p.Server().Store().Events(t.Context(), storage.EventQuery{Verbs: []audit.Verb{audit.CertificateObtain, audit.CertificateRenew}})
	fatal(t, err)
	for _, e := range events {
		if how := e.Fields.Text(audit.KeyChallenge); how != challenge {
			t.Errorf("%s by %s", e.Verb, how)
		}
	}
}

// TestExpiryIsWarnedOf: a certificate that cannot be renewed stays in service, and two weeks before its end somebody is told.
func TestExpiryIsWarnedOf(t *testing.T) {
	t.Parallel()
	w, err := servertest.NewWorld()
	fatal(t, err)
	t.Cleanup(func() { w.Close() })
	ca := authority(t, w.Names.Addr().String())
	p := servertest.New(t, servertest.Options{World: w, Pebble: ca})
	first, err := ca.Served(p, "imaps", p.Host)
	fatal(t, err)
	fatal(t, ca.Down())
	warned := func() bool {
		all, err := p.Server().Store().Alerts(t.Context(), p.Org.ID, uuid.Nil, 1000, false)
		fatal(t, err)
		return slices.ContainsFunc(all, func(a storage.Alert) bool { return a.Kind == storage.AlertCertificateExpiring })
	}
	fatal(t, w.Advance(70*24*time.Hour))
	waitFor(t, "failure", func() bool {
		all, err := p.Server().Certificates().List(t.Context(), p.Org.ID)
		fatal(t, err)
		return all[0].Failures > 0
	})
	if warned() {
		t.Error("twenty days before its end somebody is told already")
	}
	fatal(t, w.Advance(8*24*time.Hour))
	waitFor(t, "alert", warned)
	if now, err := ca.Served(p, "imaps", p.Host); err != nil || !now.Equal(first) {
		t.Errorf("what is served is not what there is: %v", err)
	}
}

// unreadable holds that no file below a folder has one of some texts.
func unreadable(t *testing.T, dir string, texts ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, text := range texts {
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("%s has %q in clear", path, text)
			}
		}
		return err
	})
	fatal(t, err)
}

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("there is no %s", strings.TrimSpace(what))
		}
	}
}
