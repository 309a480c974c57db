package zone_test

import (
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"postern/dns/zone"
)

// TestKeyIsSeenByAll holds that a key counts as seen only when nobody says otherwise, and no server is silent.
func TestKeyIsSeenByAll(t *testing.T) {
	key := zone.Key{Selector: "e1", Record: edKey}
	other := strings.ReplaceAll(goodText, "11qYAYKx", "99qYAYKx")
	without := strings.ReplaceAll(goodText, "e1._domainkey", "e0._domainkey")
	silent := func(_, _ *mdns.Msg) *mdns.Msg { return nil }
	refuses := func(_, reply *mdns.Msg) *mdns.Msg { reply.Rcode = mdns.RcodeServerFailure; return reply }
	for name, c := range map[string]struct {
		change func(w *world, ns1, ns2 *peer)
		want   zone.State
		keep   time.Duration
	}{
		"everywhere": {func(*world, *peer, *peer) {}, zone.OK, 300 * time.Second},
		"nowhere": {func(w *world, a, b *peer) {
			a.set(t, without)
			b.set(t, without)
			w.resolver.set(t, delegation+without)
		}, zone.Missing, time.Minute},
		"one server has not":     {func(_ *world, _, b *peer) { b.set(t, without) }, zone.Missing, 300 * time.Second},
		"one has another":        {func(_ *world, _, b *peer) { b.set(t, other) }, zone.Wrong, 300 * time.Second},
		"the resolver has not":   {func(w *world, _, _ *peer) { w.resolver.set(t, delegation+without) }, zone.Missing, time.Minute},
		"the resolver has other": {func(w *world, _, _ *peer) { w.resolver.set(t, delegation+other) }, zone.Wrong, 300 * time.Second},
		"one server fails":       {func(_ *world, a, _ *peer) { a.odd = refuses }, zone.Unknown, 300 * time.Second},
		"all servers fail":       {func(_ *world, a, b *peer) { a.odd, b.odd = refuses, refuses }, zone.Unknown, 300 * time.Second},
		"a server has two": {func(_ *world, a, _ *peer) {
			a.set(t, goodText+"\n"+`e1._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=AAAA"`)
		}, zone.Conflict, 300 * time.Second},
		"fails here, is missing there": {func(_ *world, a, b *peer) { a.odd = refuses; b.set(t, without) }, zone.Missing, 300 * time.Second},
		"the resolver fails":           {func(w *world, _, _ *peer) { w.resolver.odd = refuses }, zone.Unknown, 0},
		"the resolver is silent":       {func(w *world, _, _ *peer) { w.resolver.odd = silent }, zone.Unknown, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, ns1, ns2 := keeping(t, goodText)
			c.change(w, ns1, ns2)
			state, keep, err := w.checker().Key(t.Context(), handKept, key)
			if err != nil || state != c.want || keep != c.keep {
				t.Errorf("%s, kept %s, %v; want %s, %s", state, keep, err, c.want, c.keep)
			}
		})
	}
}

// TestKeyInAZoneOfItsOwn follows _domainkey to the server that it is handed to.
func TestKeyInAZoneOfItsOwn(t *testing.T) {
	text := strings.ReplaceAll(goodText, `e1._domainkey.example.com. TXT`, `x._domainkey.example.com. TXT`) + "\n_domainkey.example.com. NS mail.example.com."
	w, _, _ := keeping(t, text)
	ours := `e1._domainkey.example.com. TXT "` + edKey + `"`
	w.resolver.set(t, delegation+text+"\n"+ours)
	w.serve("127.0.1.25", ours+"\n_domainkey.example.com. NS mail.example.com.\n_domainkey.example.com. SOA mail.example.com. root.example.com. 1 2 3 4 600", "_domainkey.example.com")
	if state, _, err := w.checker().Key(t.Context(), handKept, zone.Key{Selector: "e1", Record: edKey}); err != nil || state != zone.OK {
		t.Errorf("%s, %v", state, err)
	}
}
