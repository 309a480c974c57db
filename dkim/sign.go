package dkim

import (
	"errors"
	"fmt"
	"io"
	"strings"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

// copySize is the piece of a message that is read at once.
const copySize = 32 << 10

// Selected is a key and the selector that its record is published under.
type Selected struct {
	Selector string
	Key      *Key
}

// Signer signs for one domain with all of its keys. It is safe for concurrent
// use.
type Signer struct {
	domain string
	keys   []Selected
}

// NewSigner makes a signer. The domain is in A-labels. Signatures stand in the
// order of the keys: put RSA first, since a verifier that looks at one
// signature only looks at the first.
func NewSigner(domain string, keys ...Selected) (*Signer, error) {
	if !isName(domain) {
		return nil, fmt.Errorf("dkim: %q is not a domain in A-labels", domain)
	}
	if len(keys) == 0 {
		return nil, errors.New("dkim: no key")
	}
	for _, k := range keys {
		if !isName(k.Selector) || k.Key == nil {
			return nil, fmt.Errorf("dkim: selector %q of %s: bad name or no key", k.Selector, domain)
		}
	}
	return &Signer{domain: domain, keys: keys}, nil
}

// isName keeps everything out of the header field that is not a name.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return s != "" && len(s) <= 253 && s[0] != '.' && s[len(s)-1] != '.'
}

// Domain is the domain that takes responsibility: the tag d=.
func (s *Signer) Domain() string { return s.domain }

// Sign reads a message of the given size and returns one DKIM-Signature field
// per key, each ended by CRLF, to be put in front of it unchanged. Lines of the
// message end with CRLF. Memory is bounded by the header, not by the body.
//
// An error that wraps [ErrMessage] lies in the message; others come from r.
func (s *Signer) Sign(r io.ReaderAt, size int64) ([]byte, error) {
	count, err := countFields(r, size)
	if err != nil {
		return nil, err
	}
	list, err := fieldList(count)
	if err != nil {
		return nil, err
	}
	running, writers, err := s.start(list)
	// Every signer that was started has a goroutine, which Close ends.
	defer func() {
		for _, one := range running {
			one.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, min(size, copySize))
	if _, err := io.CopyBuffer(io.MultiWriter(writers...), io.NewSectionReader(r, 0, size), buf); err != nil {
		return nil, fmt.Errorf("dkim: read the message: %w", err)
	}
	var out strings.Builder
	for _, one := range running {
		if err := one.Close(); err != nil {
			return nil, fmt.Errorf("dkim: sign for %s: %w", s.domain, err)
		}
		out.WriteString(one.Signature())
	}
	return []byte(out.String()), nil
}

func (s *Signer) start(list []string) (running []*msgauth.Signer, writers []io.Writer, err error) {
	writers = append(writers, new(blankLines))
	for _, k := range s.keys {
		one, err := msgauth.NewSigner(&msgauth.SignOptions{
			Domain:                 s.domain,
			Selector:               k.Selector,
			Signer:                 k.Key.private,
			HeaderCanonicalization: msgauth.CanonicalizationRelaxed,
			BodyCanonicalization:   msgauth.CanonicalizationRelaxed,
			HeaderKeys:             list,
		})
		if err != nil {
			return running, nil, fmt.Errorf("dkim: %w", err)
		}
		running = append(running, one)
		writers = append(writers, one)
	}
	return running, writers, nil
}
