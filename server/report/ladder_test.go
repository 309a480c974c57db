package report

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

var (
	ours    = netip.MustParseAddr("192.0.2.1")
	partner = netip.MustParseAddr("198.51.100.7")
	forger  = netip.MustParseAddr("203.0.113.9")
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// daily is a report a day over the days before noon, with these rows.
func daily(days int, rows ...Row) (all []Aggregate) {
	for i := range days {
		end := noon.Truncate(24*time.Hour).AddDate(0, 0, -i)
		all = append(all, Aggregate{Organization: "r.example", Begin: end.AddDate(0, 0, -1), End: end.Add(-time.Second), Rows: rows})
	}
	return all
}

// TestLadder: the next step is safe when all that it would hit are sources of which
// nothing ever passed, and reports cover the time.
func TestLadder(t *testing.T) {
	good := Row{Source: ours, Count: 10, DKIM: true, SPF: true}
	forged := Row{Source: forger, Count: 5}
	for _, test := range []struct {
		what    string
		current string
		reports []Aggregate
		ready   bool
		next    string
		unknown int
		known   int
	}{
		{"nothing reported", "none", nil, false, "quarantine", 0, 0},
		{"all is well", "none", daily(15, good, forged), true, "quarantine", 1, 0},
		{"and one further", "quarantine", daily(15, good, forged), true, "reject", 1, 0},
		{"at the top", "reject", daily(15, good, forged), false, "", 1, 0},
		{"nobody forges", "none", daily(15, good), true, "quarantine", 0, 0},
		{"a week", "none", daily(7, good, forged), false, "quarantine", 1, 0},
		{"five days, and five of long ago", "none", append(daily(5, good), daily(30, good)[25:]...), false, "quarantine", 0, 0},
		{"ours fails", "none", daily(15, good, Row{Source: ours, Count: 1}), false, "quarantine", 0, 1},
		{"ours fails at all times", "none", daily(15, Row{Source: ours, Count: 1}, Row{Source: partner, Count: 1, DKIM: true}), false, "quarantine", 0, 1},
		{"a partner forgets to sign", "none", daily(15, good, Row{Source: partner, Count: 9, SPF: true}, Row{Source: partner, Count: 1}), false, "quarantine", 0, 1},
		{"a forwarder that keeps the signature", "none", daily(15, good, Row{Source: partner, Count: 9, DKIM: true}), true, "quarantine", 0, 0},
		{"only forgeries", "none", daily(15, forged), false, "quarantine", 1, 0},
		{"a policy of another time", "strict", daily(15, good), true, "quarantine", 0, 0},
	} {
		r := Ladder(test.current, test.reports, []netip.Addr{ours}, noon)
		if r.Ready != test.ready || r.Next != test.next || r.Unknown != test.unknown || len(r.Known) != test.known || r.Why == "" {
			t.Errorf("%s: %+v", test.what, r)
		}
	}
}

func ExampleLadder() {
	reports := daily(15, Row{Source: ours, Count: 10, DKIM: true}, Row{Source: forger, Count: 2})
	r := Ladder("none", reports, []netip.Addr{ours}, noon)
	fmt.Println(r.Current, "to", r.Next, r.Ready)
	fmt.Println(r.Why)
	// Output:
	// none to quarantine true
	// all that failed in 14 days came from 1 sources of which nothing ever passed
}

func TestSources(t *testing.T) {
	day := daily(1, Row{Source: ours, Count: 3, DKIM: true, Signatures: []Signature{{Domain: "a.example"}, {Domain: "b.example"}}},
		Row{Source: forger, Count: 7, Disposition: "reject", Envelope: "evil.example"}, Row{Source: ours, Count: 1, SPF: true, Disposition: "quarantine"}, Row{Count: 2})
	other := day[0]
	other.Organization = "s.example"
	got := Sources([]Aggregate{day[0], other})
	want := []Source{
		{Source: forger, Messages: 14, Rejected: 14, Reporters: 2, Envelopes: []string{"evil.example"}, Last: day[0].End},
		{Source: ours, Messages: 8, Passed: 8, SPF: 2, DKIM: 6, Quarantined: 2, Reporters: 2, Signers: []string{"a.example", "b.example"}, Last: day[0].End},
		{Messages: 4, Reporters: 2, Last: day[0].End},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestTLSOutcomes(t *testing.T) {
	r := TLSReport{Organization: "r.example", Period: TLSPeriod{End: noon}, Policies: []TLSPolicy{
		{Policy: TLSPublished{Type: "sts"}, Summary: TLSSummary{Successes: 9, Failures: 5}, Failures: []TLSFailure{{Type: "certificate-expired", Host: "mx.example", Sessions: 3}}},
		{Policy: TLSPublished{Type: "tlsa"}, Summary: TLSSummary{Successes: 1, Failures: 0}, Failures: []TLSFailure{{Type: "tlsa-invalid", Sessions: 7}}},
	}}
	want := []TLSOutcome{
		{Policy: "sts", Sessions: 9, Reporters: 1, Last: noon}, {Policy: "tlsa", Sessions: 1, Reporters: 1, Last: noon},
		{Policy: "tlsa", Failure: "tlsa-invalid", Sessions: 7, Reporters: 1, Last: noon},
		{Policy: "sts", Failure: "certificate-expired", Host: "mx.example", Sessions: 3, Reporters: 1, Last: noon},
		{Policy: "sts", Failure: "unspecified", Sessions: 2, Reporters: 1, Last: noon},
	}
	if got := TLSOutcomes([]TLSReport{r}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

// TestDestinations: RFC 7489, section 6.2, and RFC 8460, section 3.
func TestDestinations(t *testing.T) {
	var got []string
	for _, d := range destinations([]string{"mailto:a@x.example", "MAILTO:b@X.Example!10m", "https://x.example/r", "mailto:c%21d@x.example!50K", "mailto:a@x.example!1",
		"mailto:e@x.example?subject=hello", "mailto:nobody", "mailto:f@x.example!much", "mailto:g@[192.0.2.1]", "mailto:", "ftp:h@x.example", "mailto:%00@x.example",
		"mailto:i@x.example%0d%0aBcc:%20j@x.example", "mailto:k@x.example", "mailto:l@x.example"}) {
		got = append(got, fmt.Sprint(d.to.String(), " ", d.limit))
	}
	want := []string{"a@x.example 0", "b@x.example 10485760", "c!d@x.example 51200", "e@x.example 0", "k@x.example 0"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestLimits: no network sends without end, and who is refused less still.
func TestLimits(t *testing.T) {
	var l limits
	for range maxRefusedNetwork {
		if !l.allow(noon, forger) {
			t.Fatal("refused too early")
		}
		l.refused(noon, forger)
	}
	if l.allow(noon, forger) || l.allow(noon, netip.MustParseAddr("203.0.113.200")) {
		t.Error("a network that sends garbage goes on")
	}
	if !l.allow(noon, partner) || !l.allow(noon.Add(window), forger) {
		t.Error("another network, or an hour later, is refused")
	}
	n := 0
	for i := range 10_000 {
		if l.allow(noon.Add(window), netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})) {
			n++
		}
	}
	if n > maxNetworks {
		t.Errorf("%d networks are remembered", n)
	}
}
