package control

import (
	"fmt"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"postern/dns/zone"
)

// TestAU11_RecordsOfADomain holds that the plan names what a domain needs, as
// text that another's zone parser reads back.
func TestAU11_RecordsOfADomain(t *testing.T) {
	w := newWorld(t)
	w.staff()
	plan, err := w.DomainRecords(t.Context(), "example.com")
	w.must(err)
	var got []string
	for _, r := range plan.Records {
		if r.Group == zone.Optional {
			continue
		}
		line := fmt.Sprintf("%s. %d IN %s %s", r.Name, r.TTL, r.Type, r.Zone().Data())
		rr, err := mdns.NewRR(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		data := ""
		switch rr := rr.(type) {
		case *mdns.MX:
			data = fmt.Sprintf("%d %s", rr.Preference, strings.TrimSuffix(rr.Mx, "."))
		case *mdns.TXT:
			data = strings.Join(rr.Txt, "")
		}
		if data != r.Data || strings.TrimSuffix(rr.Header().Name, ".") != r.Name {
			t.Errorf("%s reads back as %q, want %q", line, data, r.Data)
		}
		got = append(got, fmt.Sprintf("%s %s %s %.12s", r.Relative, r.Name, r.Type, r.Data))
	}
	want := `@ example.com MX 10 mail.exam
@ example.com TXT v=spf1 mx -a
e20260102._domainkey e20260102._domainkey.example.com TXT v=DKIM1; k=e
r20260102._domainkey r20260102._domainkey.example.com TXT v=DKIM1; k=r
_dmarc _dmarc.example.com TXT v=DMARC1; p=`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("plan:\n%s\nwant:\n%s", text, want)
	}
}
