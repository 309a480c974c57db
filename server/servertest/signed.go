package servertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// zoneKeys are the DNSSEC keys of a zone: base names of files of BIND.
type zoneKeys struct {
	dir, ksk, zsk string
}

// SetSigned replaces the records of a zone as SetZone does, signed by DNSSEC with
// keys that it makes at the first call. It returns the trust anchor for
// UnboundOptions.Anchors: the zone's DNSKEY record with the key that signs keys.
// The signatures are good from an hour ago for a month, on the machine's clock.
func (a *NameServer) SetSigned(origin, records string) (anchor string) {
	a.t.Helper()
	return a.setSigned(origin, records, func(text string) string { return text })
}

// SetSpoiled is SetSigned, and afterwards one text of the signed zone is replaced
// by another: what a validating resolver must not believe.
func (a *NameServer) SetSpoiled(origin, records, before, after string) (anchor string) {
	a.t.Helper()
	return a.setSigned(origin, records, func(text string) string {
		if !strings.Contains(text, before) {
			a.t.Fatalf("the signed zone has no %q:\n%s", before, text)
		}
		return strings.ReplaceAll(text, before, after)
	})
}

func (a *NameServer) setSigned(origin, records string, afterwards func(string) string) (anchor string) {
	a.t.Helper()
	a.set(origin, func(origin string) string {
		k := a.keys[origin]
		if k == nil {
			k = newZoneKeys(a.t, origin)
			a.keys[origin] = k
		}
		anchor = k.anchor(a.t)
		return afterwards(k.sign(a.t, origin, a.file(origin, records)))
	})
	return anchor
}

func newZoneKeys(t testing.TB, origin string) *zoneKeys {
	t.Helper()
	keygen := tool(t, "dnssec-keygen", "bind9-utils")
	k := &zoneKeys{dir: t.TempDir()}
	k.zsk = strings.TrimSpace(output(t, k.dir, keygen, "-q", "-a", "ECDSAP256SHA256", "-K", k.dir, origin))
	k.ksk = strings.TrimSpace(output(t, k.dir, keygen, "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K", k.dir, origin))
	return k
}

// anchor is the record in the file of the key, without its comments.
func (k *zoneKeys) anchor(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(k.dir, k.ksk+".key"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, ";") {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("%s.key has no record", k.ksk)
	return ""
}

// sign returns the signed form of a master file.
func (k *zoneKeys) sign(t testing.TB, origin, text string) string {
	t.Helper()
	signzone := tool(t, "dnssec-signzone", "bind9-utils")
	plain, signed := filepath.Join(k.dir, "plain"), filepath.Join(k.dir, "signed")
	if err := os.WriteFile(plain, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, k.dir, signzone, "-S", "-K", k.dir, "-d", k.dir, "-s", "now-3600", "-e", "now+2592000", "-o", origin, "-f", signed, "-O", "full", plain)
	b, err := os.ReadFile(signed)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// output runs a program to its end and returns what it wrote to standard output.
func output(t testing.TB, dir, path string, args ...string) string {
	t.Helper()
	said := new(log)
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir, cmd.Stderr = dir, said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", path, err, out, said)
	}
	return string(out)
}
