package zone_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"postern/dns/zone"
)

// everything is a plan with every kind of record.
func everything(t testing.TB) []zone.Record {
	records, err := zone.Plan(zone.Facts{
		Domain: "example.com", Host: "mail.example.com",
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")},
		Keys:      []zone.Key{{"e1", edKey}, {"r1", "v=DKIM1; k=rsa; p=" + strings.Repeat("MIIBIjANBgkqhkiG", 24)}},
		DMARC:     "reject", MTASTS: "enforce", Reports: "postern-reports@example.com", Challenge: "postern-abc",
		Authorities: []string{"letsencrypt.org"}, TLSA: []string{"3 1 1 " + strings.Repeat("ab", 32)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// TestZoneFileIsAccepted: the checker of BIND takes the file, and so does another
// parser, which finds the records of the plan in it.
func TestZoneFileIsAccepted(t *testing.T) {
	records := everything(t)
	var b bytes.Buffer
	if err := zone.WriteFile(&b, "example.com", records); err != nil {
		t.Fatal(err)
	}
	t.Run("records", func(t *testing.T) {
		zp := mdns.NewZoneParser(bytes.NewReader(b.Bytes()), "", "")
		n := 0
		for _, ok := zp.Next(); ok; _, ok = zp.Next() {
			n++
		}
		foreign := 0
		for _, r := range records {
			if !zone.Within(r.Name, "example.com") {
				foreign++
			}
		}
		if err := zp.Err(); err != nil || n != len(records)-foreign || foreign != 2 {
			t.Errorf("%d of %d records, %d foreign: %v", n, len(records), foreign, err)
		}
	})
	t.Run("named-checkzone", func(t *testing.T) {
		checker, err := exec.LookPath("named-checkzone")
		if err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal("named-checkzone is missing: install bind9-utils")
			}
			t.Skip("named-checkzone is not installed (bind9-utils)")
		}
		path := filepath.Join(t.TempDir(), "zone")
		head := "$TTL 3600\nexample.com. IN SOA ns.other.test. hostmaster.example.com. 1 2 3 4 5\nexample.com. IN NS ns.other.test.\n"
		if err := os.WriteFile(path, append([]byte(head), b.Bytes()...), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), checker, "example.com", path).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s\n%s", err, out, b.Bytes())
		}
	})
}

// FuzzZoneFile: whatever a value is, it stays in its line and comes back from
// another parser as it was.
func FuzzZoneFile(f *testing.F) {
	f.Add("v=spf1 -all")
	f.Add("\"; \n$INCLUDE /etc/passwd\n\\")
	f.Add(strings.Repeat("\x00\xff", 300))
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 16<<10 {
			return
		}
		var b bytes.Buffer
		r := zone.Record{Group: zone.Send, Purpose: zone.PurposeSPF, Name: "a.example.com", Type: "TXT", Value: text, TTL: zone.TTL}
		if err := zone.WriteFile(&b, "example.com", []zone.Record{r}); err != nil {
			t.Fatal(err)
		}
		zp := mdns.NewZoneParser(bytes.NewReader(b.Bytes()), "", "")
		zp.SetIncludeAllowed(false)
		rr, ok := zp.Next()
		if _, more := zp.Next(); !ok || more || zp.Err() != nil {
			t.Fatalf("%q makes %q: %v", text, b.String(), zp.Err())
		}
		wire := make([]byte, 32<<10)
		n, err := mdns.PackRR(rr, wire, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(characterStrings(wire[n-rdlength(wire, n):n]), ""); got != text {
			t.Fatalf("%q came back as %q", text, got)
		}
	})
}

// rdlength is the length of the data of a packed record of a.example.com.
func rdlength(wire []byte, n int) int {
	header := len("\x01a\x07example\x03com\x00") + 2 + 2 + 4 + 2
	return n - header
}

// characterStrings takes the data of a TXT record apart (RFC 1035, section 3.3.14).
func characterStrings(data []byte) (all []string) {
	for len(data) > 0 {
		n := int(data[0])
		all, data = append(all, string(data[1:1+n])), data[1+n:]
	}
	return all
}

func ExampleWriteFile() {
	records, err := zone.Plan(zone.Facts{Domain: "example.com", Host: "mail.example.com", MTASTS: "none"})
	if err == nil {
		err = zone.WriteFile(os.Stdout, "example.com", records[:3])
	}
	fmt.Println(err)
	// Output:
	// $ORIGIN example.com.
	//
	// ; Receive: mail comes here
	// ; mail for the domain comes to this server
	// @ 3600 IN MX 10 mail.example.com.
	//
	// ; Send: mail from here is believed
	// ; SPF: who may send for the domain (RFC 7208)
	// @ 3600 IN TXT "v=spf1 mx -all"
	//
	// ; Trust: how others treat mail from and to the domain
	// ; DMARC: what to do with mail that neither SPF nor DKIM proves (RFC 7489)
	// _dmarc 3600 IN TXT "v=DMARC1; p=none"
	// <nil>
}
