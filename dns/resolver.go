package dns

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// A Resolver answers the questions of a mail server. Names are domain names in
// A-labels or U-labels, with or without a final dot. All methods are safe for
// concurrent use, return an [*Error] on failure, and end when ctx does.
//
// Implementations: [Client] and [Cache].
type Resolver interface {
	// LookupMX returns the mail exchangers of a domain by rising preference.
	// Equals are in the order of the answer; the caller shuffles them. A null
	// MX (RFC 7505) is the error ErrNullMX.
	LookupMX(ctx context.Context, domain string) (Answer[MX], error)
	// LookupTXT returns one string per TXT record, its parts joined without a
	// separator, as raw bytes.
	LookupTXT(ctx context.Context, name string) (Answer[string], error)
	// LookupIP returns the addresses of a host, IPv4 first. It succeeds when
	// either family has an address, and is ErrNotFound only when both said so.
	LookupIP(ctx context.Context, host string) (Answer[netip.Addr], error)
	// LookupPTR returns the names that an address claims (reverse DNS). Anyone
	// may claim any name: the caller looks the name up in turn.
	LookupPTR(ctx context.Context, ip netip.Addr) (Answer[string], error)
	// LookupTLSA returns what a name such as _25._tcp.mx.example.com says about
	// the certificate of a service (RFC 6698), as it stands there. It means
	// something only where the answer is Authentic.
	LookupTLSA(ctx context.Context, name string) (Answer[TLSA], error)
}

// An Answer is what the domain name system said.
type Answer[T any] struct {
	// Records is never empty when the error is nil.
	Records []T
	// Name is the owner of the records in lower case without a final dot: the
	// name that was asked, or where its aliases led to.
	Name string
	// TTL is how long the answer may be kept: the least of all records and
	// aliases on the way.
	TTL time.Duration
	// Authentic reports that a trusted resolver validated every record on the
	// way by DNSSEC.
	Authentic bool
}

// MX is a mail exchanger.
type MX struct {
	Preference uint16 // lower is tried first
	Host       string // lower case, no final dot; printable ASCII, which Name may refuse
}

// TLSA is one record of RFC 6698. Data are the octets themselves, which may be
// none that the other fields allow.
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      []byte
}

// String is the record in the form of a master file.
func (t TLSA) String() string {
	return fmt.Sprintf("%d %d %d %x", t.Usage, t.Selector, t.Matching, t.Data)
}
