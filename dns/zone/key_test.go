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
		"one server fails":       {func(_ *world, a, _ *peer) { a.be(refuses) }, zone.Unknown, 300 * time.Second},
		"all servers fail":       {func(_ *world, a, b *peer) { a.be(refuses); b.be(refuses) }, zone.Unknown, 300 * time.Second},
		"a server has two": {func(_ *world, a, _ *peer) {
			a.set(t, goodText+"\n"+`e1._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=AAAA"`)
		}, zone.Conflict, 300 * time.Second},
		"fails here, is missing there": {func(_ *world, a, b *peer) { a.be(refuses); b.set(t, without) }, zone.Missing, 300 * time.Second},
		"the resolver fails":           {func(w *world, _, _ *peer) { w.resolver.be(refuses) }, zone.Unknown, 0},
		"the resolver is silent":       {func(w *world, _, _ *peer) { w.resolver.be(silent) }, zone.Unknown, 0},
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

// TestSelectorsThatPointHere holds that a domain whose four selectors are aliases into the zone of this server is found
// to be one, that its plan has the aliases instead of keys, and that a key is seen at the end of its alias.
func TestSelectorsThatPointHere(t *testing.T) {
	text := goodText
	for _, s := range []string{"postern-r1", "postern-r2", "postern-e1", "postern-e2"} {
		text += "\n" + s + "._domainkey.example.com. CNAME " + s + ".example.com.keys.test."
	}
	w, ns1, ns2 := keeping(t, text)
	ours := "\n" + `postern-e1.example.com.keys.test. TXT "` + edKey + `"`
	w.resolver.set(t, delegation+text+ours)
	f := handKept
	f.Target, f.Keys = "keys.test", []zone.Key{{Selector: "postern-e1", Record: edKey}, {Selector: "e1", Record: edKey}}
	r, by := w.check(f)
	if r.Names != zone.CNAME || by[zone.PurposeDelegation].State != zone.OK || by[zone.PurposeDKIM].State != zone.OK {
		t.Errorf("%s, %+v, %+v", r.Names, by[zone.PurposeDelegation], by[zone.PurposeDKIM])
	}
	count := map[string]int{}
	for _, finding := range r.Findings {
		if strings.Contains(finding.Name, "._domainkey.") {
			count[finding.Type]++
		}
	}
	if count["CNAME"] != 4 || count["TXT"] != 1 {
		t.Errorf("planned: %v", count)
	}
	if state, _, err := w.checker().Key(t.Context(), f, f.Keys[0]); err != nil || state != zone.OK {
		t.Errorf("through the alias: %s, %v", state, err)
	}
	ns1.set(t, strings.ReplaceAll(text, "postern-r2", "postern-r3"))
	ns2.set(t, strings.ReplaceAll(text, "postern-r2", "postern-r3"))
	r, _ = w.check(f)
	if r.Names != zone.ByHand {
		t.Errorf("with three of four: %s", r.Names)
	}
}
