package dkim

// State is where a key stands in its life. It only goes forward, except that a
// published key whose record vanishes is prepared again.
type State string

// The states. See the package comment for what moves a key from one to the next.
const (
	Prepared  State = "prepared"  // it is made, and its record is to be published
	Published State = "published" // its record was seen; caches may still hold that there is none
	Signing   State = "signing"   // it signs
	Retiring  State = "retiring"  // it signs no more, and its record stays for mail under way
	Revoked   State = "revoked"   // somebody else may have it: its record says so, for mail under way
	Retired   State = "retired"   // the private key is destroyed, and the record may go
)

// Visible reports whether the record of a key in this state must be in the DNS.
func (s State) Visible() bool { return s != Retired }

// RevokedRecord is the text of the record of a key that must not be believed any
// more (RFC 6376, section 3.6.1: an empty p= means that the key was revoked).
func RevokedRecord(a Algorithm) string { return "v=DKIM1; k=" + string(a) + "; p=" }

// FixedSelectors are the two selectors of an algorithm where a domain points them
// here by CNAME once and for all: its keys use them in turn.
func FixedSelectors(a Algorithm) [2]string {
	return [2]string{"postern-" + string(a[:1]) + "1", "postern-" + string(a[:1]) + "2"}
}
