package msgauth

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/emersion/go-msgauth/dkim"

	"postern/dns"
	"postern/server/message"
)

// Bounds of what a stranger can make us compute.
const (
	maxSignatures = 5       // verified; RFC 6376, section 6.1 allows a limit
	maxKeyRecord  = 2 << 10 // octets: an RSA key of 8192 bits has 1,400
	// maxBlank bounds a run of blank lines. Trailing ones are no part of the
	// signed body, so the library holds a run until it sees what follows, and
	// goes through all of it again for each piece it reads.
	maxBlank = 64 << 10
	// maxSigned bounds the h= of a signature: the library goes through all fields
	// for each name.
	maxSigned = 200
	// maxCopied bounds what the library copies to unfold fields: for each line the
	// field that it continues. Two thousand recipients in lines of their own need
	// no more; 250 KB of nearly empty lines would need 10 GB.
	maxCopied = 128 << 20
)

// dkim verifies the topmost signatures.
func (c *Checker) dkim(ctx context.Context, f Facts) []DKIM {
	header, err := message.ReadHeader(f.Data, f.Parsed)
	if errors.Is(err, message.ErrHeaderLong) {
		return nil // nobody will be shown it in full
	}
	if err != nil {
		return []DKIM{{Value: TempError}}
	}
	switch signatures, costly := weigh(header); {
	case signatures == 0:
		return nil
	case costly:
		return []DKIM{{Value: PermError}}
	}
	body := &bodyReader{ctx: ctx, r: io.NewSectionReader(f.Data, 0, f.Parsed.Size)}
	verdicts, err := dkim.VerifyWithOptions(body, &dkim.VerifyOptions{
		MaxVerifications: maxSignatures,
		LookupTXT:        func(name string) ([]string, error) { return c.keyRecord(ctx, name) },
	})
	if err != nil && !errors.Is(err, dkim.ErrTooManySignatures) {
		return nil // no header that ends
	}
	var out []DKIM
	for _, v := range verdicts {
		d := DKIM{Value: dkimValue(v.Err)}
		if body.stopped != nil {
			d.Value = PermError
			if !errors.Is(body.stopped, errBlank) {
				d.Value = TempError
			}
		}
		d.Domain, _ = dns.Name(v.Domain)
		if d.Domain == "" && d.Value == Pass {
			d.Value = PermError
		}
		out = append(out, d)
	}
	return out
}

// weigh counts the signatures of a header, and tells whether the library would
// work on them for longer than any honest mail is worth.
func weigh(header []byte) (signatures int, costly bool) {
	copied := 0
	for f := range message.Fields(header) {
		if lines := bytes.Count(f.Body, []byte("\n")); lines > 0 {
			copied += lines * len(f.Body) // at most: the field grows to this
		}
		if f.Is("dkim-signature") {
			signatures++
			costly = costly || bytes.Count(f.Body, []byte(":")) >= maxSigned
		}
	}
	return signatures, costly || copied > maxCopied
}

func dkimValue(err error) Value {
	switch {
	case err == nil:
		return Pass
	case dkim.IsTempFail(err):
		return TempError
	case dkim.IsPermFail(err):
		return PermError
	}
	return Fail
}

func (c *Checker) keyRecord(ctx context.Context, name string) ([]string, error) {
	records, err := lookup{c.Resolver}.LookupTXT(ctx, name)
	for _, r := range records {
		if len(r) > maxKeyRecord {
			return nil, errors.New("the key record is too large")
		}
	}
	return records, err
}

var errBlank = errors.New("too many blank lines")

// bodyReader reads a message for the library, which loses goroutines when a
// reader fails in the middle. So it ends early instead, and tells why.
type bodyReader struct {
	ctx     context.Context
	r       io.Reader
	blank   int
	stopped error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.stopped == nil {
		b.stopped = b.ctx.Err()
	}
	if b.stopped != nil {
		return 0, io.EOF
	}
	n, err := b.r.Read(p)
	for _, c := range p[:n] {
		switch c {
		case '\r', '\n', ' ', '\t':
			b.blank++
		default:
			b.blank = 0
		}
	}
	switch {
	case b.blank > maxBlank:
		b.stopped = errBlank
	case err != nil && err != io.EOF:
		b.stopped = err
	}
	if b.stopped != nil {
		return 0, io.EOF
	}
	return n, err
}
