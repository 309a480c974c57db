package msgauth

import (
	"net/netip"

	"postern/dns"
	"postern/server/message"
)

// Value is the result of one method (RFC 8601, section 2.7). The zero value
// says that nothing was judged, or that there was nothing to judge.
type Value uint8

// The values. The numbers are stored and never change.
const (
	None Value = iota
	Pass
	Fail
	SoftFail // SPF only
	Neutral
	TempError    // could not be judged now
	PermError    // could never be judged: what the domain publishes or the message carries is broken
	Unacceptable // DKIM only: a good signature of a kind that proves too little
	lastValue    = Unacceptable
)

// String is the word for Authentication-Results.
func (v Value) String() string {
	return [...]string{"none", "pass", "fail", "softfail", "neutral", "temperror", "permerror", "policy"}[v]
}

// parseValue is the value of a word; None of one that is unknown.
func parseValue(word string) Value {
	for v := None; v <= lastValue; v++ {
		if v.String() == word {
			return v
		}
	}
	return None
}

// Policy is what the From domain asks to be done with mail that fails DMARC.
type Policy uint8

// The policies of RFC 7489, section 6.3. The numbers are stored.
const (
	PolicyNone Policy = iota
	PolicyQuarantine
	PolicyReject
	lastPolicy = PolicyReject
)

// String is the word of the tag p=.
func (p Policy) String() string { return [...]string{"none", "quarantine", "reject"}[p] }

// Results is everything that was found out about one message. The zero value
// says that nothing was. Domains are in the form of dns.Name.
type Results struct {
	SPF   SPF
	DKIM  []DKIM // in the order of the fields; at most maxSignatures
	DMARC DMARC
	ARC   ARC
	IPRev IPRev
}

// SPF is the result for the return path, or for the HELO name when that is null
// (RFC 7208, section 2.4).
type SPF struct {
	Value  Value
	Domain string
	Helo   bool // Domain is the HELO name
}

// DKIM is the result for one signature.
type DKIM struct {
	Value    Value
	Domain   string // d=: who signed. Empty when it is no domain name
	Selector string // s=: with which key. Empty when it is no name
}

// DMARC is the result for the domain in From. With Fail and PolicyReject the
// domain asks that the message be refused.
type DMARC struct {
	Value  Value
	Domain string // in From; empty when there is not exactly one
	// Policy is what the domain asks to be done with this message if it fails:
	// that of p=, sp= or np=, after pct=. PolicyNone without a record.
	Policy Policy

	// What follows is for the report to the domain, and not stored with the results.
	SPF, DKIM  bool       // whether it passed for a domain that is aligned
	Several    bool       // From names several domains, of which none can be asked for all
	SampledOut bool       // pct= spared the message a stricter policy
	Published  *Published // nil without a usable record
}

// Published is what a domain published about mail in its name (RFC 7489, section
// 6.3), as far as it counts.
type Published struct {
	Domain                     string // where the record was found: that in From, or its organization's
	Policy, Subdomains, Absent Policy // p=, sp= and np=; what is not there is as the one before
	StrictSPF, StrictDKIM      bool
	Percent                    int // pct=
	// Reports are the URIs of rua=, as they were written, at most maxReportURIs.
	Reports []string
}

// ARC is the result for the chain of those who passed the message on (RFC 8617):
// None without one, Pass or Fail. Who passed it on may have changed it, and says
// so himself: a chain is worth what its sealers are.
type ARC struct {
	Value   Value
	Sealers []string // d= of each seal, the first hop's first; with Pass only
	DMARC   Value    // what the first of them found; with Pass only
}

// IPRev says whether the host's address has a name that has the address.
type IPRev struct {
	Value Value
	Addr  netip.Addr
	Name  string // with Pass only
}

// AppendField appends the Authentication-Results field in the name of id, our
// host name, folded and with its CRLF. Of what strangers chose it holds nothing
// but domain names.
func (r Results) AppendField(b []byte, id string) []byte {
	text := id
	property := func(name, value string) {
		if _, err := dns.Name(value); err == nil {
			text += " " + name + "=" + value
		}
	}
	add := func(method string, v Value, name, value string) {
		if v != None || value != "" {
			text += "; " + method + "=" + v.String()
			property(name, value)
		}
	}
	sender := "smtp.mailfrom"
	if r.SPF.Helo {
		sender = "smtp.helo"
	}
	add("spf", r.SPF.Value, sender, r.SPF.Domain)
	for _, d := range r.DKIM {
		add("dkim", d.Value, "header.d", d.Domain)
		property("header.s", d.Selector)
	}
	add("dmarc", r.DMARC.Value, "header.from", r.DMARC.Domain)
	if r.DMARC.Value == Fail && r.DMARC.Policy != PolicyNone {
		text += " policy.dmarc=" + r.DMARC.Policy.String() // what the domain asks to be done about it
	}
	add("arc", r.ARC.Value, "", "")
	if r.IPRev.Addr.IsValid() {
		text += "; iprev=" + r.IPRev.Value.String() + " policy.iprev=" + pvalue(r.IPRev.Addr)
	}
	if text == id {
		text += "; none" // RFC 8601, section 2.2
	}
	return message.AppendField(b, "Authentication-Results", text)
}

// pvalue writes an address as a value: the colons of IPv6 need quotes.
func pvalue(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return `"` + ip.String() + `"`
}
