package control

import (
	"fmt"
	"strings"

	"postern/dkim"
	"postern/storage"
)

// Record is a DNS record that a domain publishes.
type Record struct {
	Name string `json:"name"` // full, without the final dot
	Type string `json:"type"`
	TTL  int    `json:"ttl"`  // seconds
	Data string `json:"data"` // of a TXT record the text itself, unquoted
	Why  string `json:"why"`  // for people
}

// recordTTL is an hour: long enough for caches, short enough to mend a mistake.
const recordTTL = 3600

// planRecords is what a domain needs so that mail reaches it and is believed:
// its exchanger, who may send for it (SPF, RFC 7208), the keys that sign for it
// (DKIM, RFC 6376), and what others do with mail that is neither (DMARC, RFC 7489).
func planRecords(domain, host string, keys []storage.DKIMKey) ([]Record, error) {
	plan := []Record{
		{domain, "MX", recordTTL, "10 " + host, "mail for this domain comes to this server"},
		{domain, "TXT", recordTTL, "v=spf1 mx -all", "SPF: only this server sends for it"},
	}
	for _, k := range keys {
		if k.State.Visible() {
			plan = append(plan, Record{dkim.RecordName(k.Selector, domain), "TXT", recordTTL, k.Record, "DKIM: this key signs for it (" + k.Algorithm + ")"})
		}
	}
	return append(plan, Record{"_dmarc." + domain, "TXT", recordTTL, "v=DMARC1; p=quarantine", "DMARC: mail that neither proves is set aside"}), nil
}

// Zone is the record as a line of a zone file (RFC 1035, section 5.1).
func (r Record) Zone() string {
	data := r.Data
	switch r.Type {
	case "TXT":
		data = quoted(data)
	case "MX":
		data += "."
	}
	return fmt.Sprintf("%s. %d IN %s %s", r.Name, r.TTL, r.Type, data)
}

// quoted cuts a text into the strings of a TXT record, 255 bytes each at the most.
func quoted(text string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var parts []string
	for len(text) > 255 {
		parts, text = append(parts, `"`+escape.Replace(text[:255])+`"`), text[255:]
	}
	return strings.Join(append(parts, `"`+escape.Replace(text)+`"`), " ")
}
