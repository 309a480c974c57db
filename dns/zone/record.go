package zone

import (
	"strings"
	"time"
)

// Group says what a record is for.
type Group string

// The groups, in the order of a plan.
const (
	Receive  Group = "receive"  // mail comes here
	Send     Group = "send"     // mail from here is believed
	Trust    Group = "trust"    // others are told how to treat mail from and to the domain
	Optional Group = "optional" // programs find their settings by themselves
)

// Record is a record that a domain publishes.
type Record struct {
	Group   Group
	Purpose Purpose
	Name    string // absolute, lower case, A-labels, without the final dot
	Type    string // "MX", "TXT", …
	// Value is the data as a name server is given it: names without a final dot; of
	// TXT the text itself, unquoted and in one piece. [Record.Data] is what a zone
	// file has.
	Value string
	TTL   time.Duration
	// Required says that mail does not work, or is not believed, without it.
	Required bool
}

// Purpose names what one record does. It is stable, for programs; [Purpose.Text]
// is for people.
type Purpose string

// The purposes.
const (
	PurposeDelegation   Purpose = "delegation"
	PurposeMX           Purpose = "mx"
	PurposeHost         Purpose = "host"
	PurposeSPF          Purpose = "spf"
	PurposeDKIM         Purpose = "dkim"
	PurposePTR          Purpose = "reverse"
	PurposeDMARC        Purpose = "dmarc"
	PurposeMTASTS       Purpose = "mta-sts"
	PurposeMTASTSHost   Purpose = "mta-sts-host"
	PurposeTLSRPT       Purpose = "tls-rpt"
	PurposeTLSA         Purpose = "tlsa"
	PurposeChallenge    Purpose = "challenge"
	PurposeCAA          Purpose = "caa"
	PurposeAutoconfig   Purpose = "autoconfig"
	PurposeAutodiscover Purpose = "autodiscover"
	PurposeService      Purpose = "service"
)

// purposes say to a person what a record does, in one line.
var purposes = map[Purpose]string{
	PurposeDelegation:   "hands these names to this server, which keeps them from then on",
	PurposeMX:           "mail for the domain comes to this server",
	PurposeHost:         "where this server is",
	PurposeSPF:          "SPF: who may send for the domain (RFC 7208)",
	PurposeDKIM:         "DKIM: a key that signs for the domain (RFC 6376)",
	PurposePTR:          "the address says which host it is; large receivers ask for that",
	PurposeDMARC:        "DMARC: what to do with mail that neither SPF nor DKIM proves (RFC 7489)",
	PurposeMTASTS:       "MTA-STS: mail to the domain comes over TLS (RFC 8461)",
	PurposeMTASTSHost:   "where the MTA-STS policy is fetched from",
	PurposeTLSRPT:       "others report when TLS to this server fails (RFC 8460)",
	PurposeTLSA:         "DANE: the certificate of this server (RFC 7672)",
	PurposeChallenge:    "proves that the domain is yours; it may go afterwards",
	PurposeCAA:          "who may issue certificates for the domain (RFC 8659)",
	PurposeAutoconfig:   "Thunderbird and others find their settings",
	PurposeAutodiscover: "Outlook finds its settings",
	PurposeService:      "mail programs find the server (RFC 6186, RFC 8314)",
}

// Text says in a line what the record does.
func (p Purpose) Text() string { return purposes[p] }

// Data is the record's data as it stands in a zone file with absolute names
// (RFC 1035, section 5.1): host names end with a dot, and text is quoted, in strings
// of at most 255 octets.
func (r Record) Data() string { return presentation(r.Type, r.Value) }

// Relative is the record's name as it is typed into the form of a zone: without the
// zone's own name, and "@" for the zone itself. A name outside of it stays whole,
// with a final dot.
func (r Record) Relative(zone string) string {
	switch rest, below := strings.CutSuffix(r.Name, "."+zone); {
	case r.Name == zone:
		return "@"
	case below:
		return rest
	}
	return r.Name + "."
}

// Within reports whether a name is an origin or lies below it. Both are in the form
// of Record.Name.
func Within(name, origin string) bool {
	return name == origin || strings.HasSuffix(name, "."+origin)
}

// presentation writes data as a zone file has it.
func presentation(typ, value string) string {
	switch typ {
	case "TXT":
		return quoted(value)
	case "MX", "SRV", "CNAME", "NS", "PTR":
		if strings.HasSuffix(value, ".") {
			return value // the root: "0 ." is the null MX
		}
		return value + "."
	}
	return value
}

// quoted cuts a text into quoted strings of at most 255 octets (RFC 1035, section
// 3.3). What is not printable is written as a number, so that no text breaks out of
// its line (RFC 1035, section 5.1).
func quoted(text string) string {
	var b strings.Builder
	for first := true; first || text != ""; first = false {
		if !first {
			b.WriteByte(' ')
		}
		n := min(len(text), 255)
		b.WriteByte('"')
		for i := range n {
			writeOctet(&b, text[i])
		}
		b.WriteByte('"')
		text = text[n:]
	}
	return b.String()
}

func writeOctet(b *strings.Builder, c byte) {
	switch {
	case c == '"' || c == '\\':
		b.WriteByte('\\')
		b.WriteByte(c)
	case c < ' ' || c > '~':
		b.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
	default:
		b.WriteByte(c)
	}
}
