package zone_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"postern/dns/zone"
)

func ExamplePlan() {
	records, err := zone.Plan(zone.Facts{
		Domain: "example.com", Host: "mail.example.com", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.25")},
		Keys:  []zone.Key{{Selector: "e20260103", Record: "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}},
		DMARC: "none", MTASTS: "testing", Reports: "postern-reports@example.com",
	})
	if err != nil {
		fmt.Println(err)
	}
	for _, r := range records {
		if r.Group != zone.Optional {
			fmt.Println(r.Relative("example.com"), r.Type, r.Data())
		}
	}
	// Output:
	// @ MX 10 mail.example.com.
	// mail A 192.0.2.25
	// @ TXT "v=spf1 mx -all"
	// e20260103._domainkey TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	// 25.2.0.192.in-addr.arpa. PTR mail.example.com.
	// _dmarc TXT "v=DMARC1; p=none; rua=mailto:postern-reports@example.com"
	// _mta-sts TXT "v=STSv1; id=c0a762642c8ff96deabc4e74c1e5d657;"
	// mta-sts CNAME mail.example.com.
	// _smtp._tls TXT "v=TLSRPTv1; rua=mailto:postern-reports@example.com"
}

func TestPlanRefuses(t *testing.T) {
	good := zone.Facts{Domain: "example.com", Host: "mail.example.com"}
	for name, spoil := range map[string]func(*zone.Facts){
		"domain":  func(f *zone.Facts) { f.Domain = "not a name" },
		"host":    func(f *zone.Facts) { f.Host = "" },
		"dmarc":   func(f *zone.Facts) { f.DMARC = "maybe" },
		"mta-sts": func(f *zone.Facts) { f.MTASTS = "perhaps" },
		"names":   func(f *zone.Facts) { f.Names = "somebody" },
		"target":  func(f *zone.Facts) { f.Names = zone.CNAME },
	} {
		t.Run(name, func(t *testing.T) {
			f := good
			spoil(&f)
			if _, err := zone.Plan(f); err == nil {
				t.Error("these facts make no plan, and it made one")
			}
		})
	}
}

// TestRFC1035_TextIsCut: a character string has at most 255 octets (section 3.3).
func TestRFC1035_TextIsCut(t *testing.T) {
	r := zone.Record{Type: "TXT", Value: strings.Repeat("a", 255) + "b\"\\\n" + strings.Repeat("c", 300)}
	data := r.Data()
	want := `"` + strings.Repeat("a", 255) + `" "b\"\\\010` + strings.Repeat("c", 251) + `" "` + strings.Repeat("c", 49) + `"`
	if data != want {
		t.Errorf("got %s", data)
	}
	if got := (zone.Record{Type: "TXT"}).Data(); got != `""` {
		t.Errorf("an empty text is %s", got)
	}
}
