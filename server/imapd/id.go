package imapd

import "bytes"

// idReply is what we tell about ourselves. It is sent before login, so it names no version.
const idReply = `* ID ("name" "Postern" "vendor" "Postern")` + "\r\n"

// RFC 2971, section 3.3: at most 30 pairs, names of at most 30 octets, values of at most 1024.
const (
	maxIDPairs = 30
	maxIDName  = 30
	maxIDValue = 1024
)

// validID says whether b, the arguments of an ID command with literals already quoted, are as RFC 2971, section 4, has
// them: NIL, or a parenthesized list of names and values, where a value may be NIL. What a client says about itself is
// not kept.
func validID(b []byte) bool {
	if bytes.EqualFold(b, []byte("NIL")) {
		return true
	}
	if len(b) < 2 || b[0] != '(' || b[len(b)-1] != ')' {
		return false
	}
	b = b[1 : len(b)-1]
	pairs := 0
	for len(b) > 0 {
		if pairs++; pairs > maxIDPairs {
			return false
		}
		if pairs > 1 {
			if b[0] != ' ' {
				return false
			}
			b = b[1:]
		}
		name := quotedEnd(b)
		if name == 0 || name > maxIDName+len(`""`) || name == len(b) || b[name] != ' ' {
			return false
		}
		b = b[name+1:]
		value := quotedEnd(b)
		if value == 0 && len(b) >= 3 && bytes.EqualFold(b[:3], []byte("NIL")) {
			value = 3
		}
		if value == 0 || value > maxIDValue+len(`""`) {
			return false
		}
		b = b[value:]
	}
	return true
}

// quotedEnd returns the length of the quoted string that b starts with, or 0.
func quotedEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	return astringEnd(b)
}
