package msgauth

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// The first octet of stored results. Version 1 has no selectors, and of a chain
// the value alone.
const (
	codecFirst   = 1
	codecVersion = 2
)

// maxDomain bounds each stored domain.
const maxDomain = 255

// errCodec reports stored results that are not what AppendBinary writes.
var errCodec = errors.New("msgauth: malformed stored results")

// AppendBinary appends the form that is stored beside a message. Results in
// which nothing was judged take no octet at all.
func (r Results) AppendBinary(b []byte) []byte {
	if r.SPF == (SPF{}) && len(r.DKIM) == 0 && r.DMARC.stored() == (DMARC{}) && r.ARC.Value == None && r.IPRev == (IPRev{}) {
		return b
	}
	helo := byte(0)
	if r.SPF.Helo {
		helo = 1
	}
	b = append(b, codecVersion, byte(r.SPF.Value), helo)
	b = appendString(b, r.SPF.Domain)
	b = append(b, byte(len(r.DKIM)))
	for _, d := range r.DKIM {
		b = appendString(appendString(append(b, byte(d.Value)), d.Domain), d.Selector)
	}
	b = appendString(append(b, byte(r.DMARC.Value), byte(r.DMARC.Policy)), r.DMARC.Domain)
	b = append(b, byte(r.ARC.Value), byte(r.ARC.DMARC), byte(len(r.ARC.Sealers)))
	for _, sealer := range r.ARC.Sealers {
		b = appendString(b, sealer)
	}
	b = append(b, byte(r.IPRev.Value))
	b = appendString(b, string(r.IPRev.Addr.AsSlice()))
	return appendString(b, r.IPRev.Name)
}

// stored is what is stored of it.
func (d DMARC) stored() DMARC { return DMARC{Value: d.Value, Domain: d.Domain, Policy: d.Policy} }

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// DecodeResults reads what AppendBinary wrote, strictly, or wrote in an earlier
// version. Nothing at all is the zero Results.
func DecodeResults(b []byte) (Results, error) {
	if len(b) == 0 {
		return Results{}, nil
	}
	d := decoder{b: b}
	var r Results
	version := d.octet(codecVersion)
	if version < codecFirst {
		return Results{}, errCodec
	}
	r.SPF.Value = Value(d.octet(byte(lastValue)))
	r.SPF.Helo = d.octet(1) == 1
	r.SPF.Domain = d.text()
	for range d.octet(maxSignatures) {
		one := DKIM{Value: Value(d.octet(byte(lastValue))), Domain: d.text()}
		if version > codecFirst {
			one.Selector = d.text()
		}
		r.DKIM = append(r.DKIM, one)
	}
	r.DMARC = DMARC{Value: Value(d.octet(byte(lastValue))), Policy: Policy(d.octet(byte(lastPolicy))), Domain: d.text()}
	r.ARC.Value = Value(d.octet(byte(lastValue)))
	if version > codecFirst {
		r.ARC.DMARC = Value(d.octet(byte(lastValue)))
		for range d.octet(maxSets) {
			r.ARC.Sealers = append(r.ARC.Sealers, d.text())
		}
	}
	r.IPRev.Value = Value(d.octet(byte(lastValue)))
	if raw := d.text(); raw != "" {
		ip, ok := netip.AddrFromSlice([]byte(raw))
		r.IPRev.Addr, d.bad = ip, d.bad || !ok
	}
	r.IPRev.Name = d.text()
	if d.bad || len(d.b) > 0 {
		return Results{}, errCodec
	}
	return r, nil
}

// decoder takes values off the front; after the first bad one it gives zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) octet(limit byte) byte {
	if d.bad || len(d.b) == 0 || d.b[0] > limit {
		d.bad = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) text() string {
	n, w := binary.Uvarint(d.b)
	if d.bad || w <= 0 || n > maxDomain || n > uint64(len(d.b)-w) || w > 1 && n < 128 {
		d.bad = true
		return ""
	}
	s := string(d.b[w : w+int(n)])
	d.b = d.b[w+int(n):]
	return s
}
