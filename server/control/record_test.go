package control

import (
	"fmt"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"
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
		rr, err := mdns.NewRR(r.Zone())
		if err != nil {
			t.Fatalf("%s: %v", r.Zone(), err)
		}
		data := ""
		switch rr := rr.(type) {
		case *mdns.MX:
			data = fmt.Sprintf("%d %s", rr.Preference, strings.TrimSuffix(rr.Mx, "."))
		case *mdns.TXT:
			data = strings.Join(rr.Txt, "")
		}
		if data != r.Data || strings.TrimSuffix(rr.Header().Name, ".") != r.Name {
			t.Errorf("%s reads back as %q, want %q", r.Zone(), data, r.Data)
		}
		got = append(got, fmt.Sprintf("%s %s %.12s", r.Name, r.Type, r.Data))
	}
	want := `example.com MX 10 mail.exam
example.com TXT v=spf1 mx -a
e20260102._domainkey.example.com TXT v=DKIM1; k=e
r20260102._domainkey.example.com TXT v=DKIM1; k=r
_dmarc.example.com TXT v=DMARC1; p=`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("plan:\n%s\nwant:\n%s", text, want)
	}
	if odd := (Record{Name: "x.example", Type: "TXT", Data: `a"b\c`}).Zone(); !strings.HasSuffix(odd, `TXT "a\"b\\c"`) {
		t.Errorf("quoted: %s", odd)
	}
}
