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
	TempError // could not be judged now
	PermError // could never be judged: what the domain publishes or the message carries is broken
	lastValue = PermError
)

// String is the word for Authentication-Results.
func (v Value) String() string {
	return [...]string{"none", "pass", "fail", "softfail", "neutral", "temperror", "permerror"}[v]
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
	ARC   Value
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
	Value  Value
	Domain string // d=: who signed. Empty when it is no domain name
}

// DMARC is the result for the domain in From.
type DMARC struct {
	Value  Value
	Domain string // in From; empty when there is not exactly one
	Policy Policy // of that domain; PolicyNone without a record
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
	add := func(method string, v Value, property, value string) {
		if v == None && value == "" {
			return
		}
		text += "; " + method + "=" + v.String()
		if _, err := dns.Name(value); err == nil || property == "policy.iprev" {
			text += " " + property + "=" + value
		}
	}
	property := "smtp.mailfrom"
	if r.SPF.Helo {
		property = "smtp.helo"
	}
	add("spf", r.SPF.Value, property, r.SPF.Domain)
	for _, d := range r.DKIM {
		add("dkim", d.Value, "header.d", d.Domain)
	}
	add("dmarc", r.DMARC.Value, "header.from", r.DMARC.Domain)
	add("arc", r.ARC, "", "")
	if r.IPRev.Addr.IsValid() {
		add("iprev", r.IPRev.Value, "policy.iprev", pvalue(r.IPRev.Addr))
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
