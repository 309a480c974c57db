package servertest_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/dns"
	"postern/dns/nameserver"
	"postern/server/servertest"
)

// registry starts a root with the zone test below it, and a resolver that begins
// there.
func registry(t testing.TB, anchors ...string) (*servertest.NameServer, *servertest.Recursor) {
	t.Helper()
	ns := servertest.NSD(t, servertest.FreeAddr(t, 53), ".", "test")
	ns.SetZone(".", servertest.Delegation("test", "ns.test", ns.Addr.Addr()))
	return ns, servertest.Unbound(t, servertest.UnboundOptions{Root: ns.Addr, Anchors: anchors})
}

// TestLaboratoryOfNames: a registry, a zone that it delegates to a name server of
// ours, and a resolver that walks there from the root.
func TestLaboratoryOfNames(t *testing.T) {
	parent, resolver := registry(t)
	at := servertest.FreeAddr(t, 53)
	big := strings.Repeat("0123456789", 300) // fits into no answer over UDP
	ours := nameserver.New()
	fatal(t, ours.SetZone(nameserver.Zone{Origin: "agents.example.test", Nameservers: []string{"mail.example.test"}, TTL: time.Second,
		Records: []nameserver.Record{
			{Name: "agents.example.test", Type: nameserver.MX, TTL: time.Second, Data: "10 mail.example.test"},
			{Name: "big.agents.example.test", Type: nameserver.TXT, TTL: time.Second, Data: big},
		}}))
	fatal(t, ours.Start(at.String()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := ours.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if _, err := resolver.Resolver().LookupMX(t.Context(), "agents.example.test"); !errors.Is(err, dns.ErrNoDomain) {
		t.Errorf("before the delegation: %v", err)
	}
	parent.SetZone("test", servertest.Delegation("agents.example.test", "mail.example.test", at.Addr()))
	resolver.Forget("test")
	mx, err := resolver.Resolver().LookupMX(t.Context(), "agents.example.test")
	if err != nil || !slices.Equal(mx.Records, []dns.MX{{Preference: 10, Host: "mail.example.test"}}) || mx.Authentic {
		t.Errorf("through the delegation: %v, %v", mx, err)
	}
	if txt, err := resolver.Resolver().LookupTXT(t.Context(), "big.agents.example.test"); err != nil || !slices.Equal(txt.Records, []string{big}) {
		t.Errorf("over TCP, all the way: %v, %v", txt, err)
	}
}

// TestSignedZones: what a validating resolver says of a signed zone, of one that
// was changed after it was signed, and of one that is not signed.
func TestSignedZones(t *testing.T) {
	ns := servertest.NSD(t, servertest.FreeAddr(t, 0), "signed.test", "spoiled.test", "plain.test")
	anchors := []string{
		ns.SetSigned("signed.test", "mail A 192.0.2.1"),
		ns.SetSpoiled("spoiled.test", "mail A 192.0.2.1", "192.0.2.1", "192.0.2.66"),
	}
	ns.SetZone("plain.test", "mail A 192.0.2.1")
	stubs := map[string]netip.AddrPort{}
	for _, origin := range []string{"signed.test", "spoiled.test", "plain.test"} {
		stubs[origin] = ns.Addr
	}
	r := servertest.Unbound(t, servertest.UnboundOptions{Stubs: stubs, Anchors: anchors}).Resolver()
	for name, authentic := range map[string]bool{"mail.signed.test": true, "mail.plain.test": false} {
		if a, err := r.LookupIP(t.Context(), name); err != nil || a.Authentic != authentic {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	if a, err := r.LookupIP(t.Context(), "mail.spoiled.test"); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("mail.spoiled.test: %v, %v", a, err)
	}
}
