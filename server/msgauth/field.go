package msgauth

import (
	"errors"
	"strings"

	"postern/dns"
)

// Bounds of a field that is parsed.
const (
	maxField   = 16 << 10
	maxMethods = 64
	maxProps   = 32 // of one method
	maxNesting = 8  // of comments
)

// Field is a parsed Authentication-Results field.
type Field struct {
	ID      string // authserv-id, as written, unquoted
	Methods []Method
}

// Method is one resinfo of RFC 8601, section 2.2.
type Method struct {
	Name   string // "spf", in lower case
	Result string // "pass", in lower case
	Reason string
	Props  []Property
}

// Property is a ptype.property=value, such as smtp.mailfrom=example.com.
type Property struct{ Name, Value string } // name in lower case

// ErrField is wrapped by every error of ParseField.
var ErrField = errors.New("msgauth: not an Authentication-Results field")

// ParseField reads the value of an Authentication-Results field by the grammar
// of RFC 8601, section 2.2: comments and quoted strings may stand where it
// allows them, and anything else fails.
func ParseField(value string) (Field, error) {
	if len(value) > maxField {
		return Field{}, ErrField
	}
	p := parser{s: value}
	f := Field{ID: p.value()}
	p.version()
	for none := false; !p.bad; {
		p.space()
		if p.s == "" {
			break
		}
		p.literal(';')
		p.space()
		if p.s == "" && len(f.Methods) > 0 {
			break // a last semicolon, which many write
		}
		word := strings.ToLower(p.token())
		p.space()
		if word == "none" && len(f.Methods) == 0 && !none && p.s == "" {
			none = true
			break
		}
		f.Methods = append(f.Methods, p.method(word))
		if len(f.Methods) > maxMethods {
			p.bad = true
		}
	}
	if p.bad || f.ID == "" {
		return Field{}, ErrField
	}
	return f, nil
}

// Claims reports whether a received Authentication-Results field could be taken
// for one that id, our host name, wrote, and so must not be shown (RFC 8601,
// section 5). What cannot be parsed could be taken for anything: readers differ
// in what they make of it. Encoded words have no place in the field; libraries
// that decode them all the same would read a name that was not there.
func Claims(value, id string) bool {
	f, err := ParseField(value)
	if err != nil || strings.Contains(value, "=?") || sameID(f.ID, id) {
		return true
	}
	head, _, _ := strings.Cut(value, "=")
	return strings.Contains(strings.ToLower(head), strings.ToLower(id))
}

func sameID(a, b string) bool {
	x, err1 := dns.Name(a)
	y, err2 := dns.Name(b)
	return err1 == nil && err2 == nil && x == y || strings.EqualFold(a, b)
}

// parser takes elements off the front. After the first failure it is bad, and
// takes nothing more.
type parser struct {
	s   string
	bad bool
}

// space skips CFWS (RFC 5322, section 3.2.2).
func (p *parser) space() {
	for depth := 0; p.s != "" && !p.bad; {
		switch c := p.s[0]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0 && len(p.s) > 1:
			p.s = p.s[1:]
		case c == ' ', c == '\t', c == '\r', c == '\n':
		case depth == 0:
			return
		case c < ' ' || c == 0x7f:
			p.bad = true
		}
		p.s = p.s[1:]
		if depth > maxNesting || p.s == "" && depth > 0 {
			p.bad = true
		}
	}
}

func (p *parser) literal(c byte) {
	if p.space(); p.bad || p.s == "" || p.s[0] != c {
		p.bad = true
		return
	}
	p.s = p.s[1:]
}

// word takes octets for which ok is true, at least one.
func (p *parser) word(ok func(c byte) bool) string {
	p.space()
	n := 0
	for n < len(p.s) && ok(p.s[n]) {
		n++
	}
	if p.bad || n == 0 {
		p.bad = true
		return ""
	}
	w := p.s[:n]
	p.s = p.s[n:]
	return w
}

// token is that of RFC 2045, section 5.1, with UTF-8 (RFC 8601, section 2.2).
func isToken(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

func (p *parser) token() string { return p.word(isToken) }

// value is a token or a quoted string.
func (p *parser) value() string {
	if p.space(); p.bad || p.s == "" || p.s[0] != '"' {
		return p.token()
	}
	var b strings.Builder
	for i := 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.s = p.s[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(p.s):
			i++
			b.WriteByte(p.s[i])
		case c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f:
			p.bad = true
			return ""
		default:
			b.WriteByte(c)
		}
	}
	p.bad = true
	return ""
}

// version skips the authres-version, of which there is one.
func (p *parser) version() {
	if p.space(); !p.bad && p.s != "" && p.s[0] != ';' && p.token() != "1" {
		p.bad = true
	}
}

// method reads what follows a method's name.
func (p *parser) method(name string) Method {
	m := Method{Name: name}
	if p.space(); p.s != "" && p.s[0] == '/' { // method-version
		p.literal('/')
		if p.token() != "1" {
			p.bad = true
		}
	}
	p.literal('=')
	m.Result = strings.ToLower(p.token())
	for {
		p.space()
		if p.bad || p.s == "" || p.s[0] == ';' {
			return m
		}
		key := strings.ToLower(p.token())
		for key != "reason" && (!strings.Contains(key, ".") || strings.HasSuffix(key, ".")) && !p.bad {
			key += strings.ToLower(p.token()) // white space and comments may stand around the dot
		}
		p.literal('=')
		if key == "reason" && m.Reason == "" && len(m.Props) == 0 {
			m.Reason = p.value()
			continue
		}
		if len(m.Props) == maxProps {
			p.bad = true
		}
		m.Props = append(m.Props, Property{key, p.propertyValue()})
	}
}

// propertyValue is a value or an address: [ [ local-part ] "@" ] domain. Real
// fields have addresses in IPv6 and base64 there, unquoted.
func (p *parser) propertyValue() string {
	if p.space(); !p.bad && p.s != "" && p.s[0] == '"' {
		v := p.value()
		if p.s != "" && p.s[0] == '@' { // a quoted local part
			v += p.word(isProperty)
		}
		return v
	}
	return p.word(isProperty)
}

func isProperty(c byte) bool { return isToken(c) || strings.IndexByte("@:/=[]", c) >= 0 }
