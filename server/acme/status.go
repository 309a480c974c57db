package acme

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/google/uuid"
)

// Source says where a certificate is from.
type Source string

// The sources.
const (
	FromAuthority Source = "acme"
	FromFiles     Source = "files"       // the operator's own
	SelfSigned    Source = "self-signed" // stands in until there is another
)

// State is how it stands with the certificate of a name.
type State string

// The states.
const (
	Good     State = "ok"
	Renewing State = "renewing" // due; not had yet
	Missing  State = "missing"  // there is none
	Ended    State = "ended"
)

// Status is the certificate of one name.
type Status struct {
	Name                     string
	Org                      uuid.UUID
	Source                   Source
	State                    State
	Authority                string    // empty: none
	Fingerprint              []byte    // SHA-256; nil where there is no certificate
	NotBefore, NotAfter, Due time.Time // Due: of the next attempt; zero where there will be none
	Failures                 int       // of attempts in a row
	Problem                  string    // what was wrong at the last of these
}

// List says how it stands with each name of an organization, the server's own
// first: it belongs to the organization that was here first.
func (k *Keeper) List(ctx context.Context, org uuid.UUID) (all []Status, err error) {
	operator, err := k.operator(ctx)
	if err != nil {
		return nil, err
	}
	now := k.o.Now()
	k.mu.RLock()
	defer k.mu.RUnlock()
	own := k.o.Own()
	if own != nil && own.Leaf != nil && org == operator {
		s := Status{Name: k.o.Host, Org: operator, Source: FromFiles}
		s.describe(own.Leaf, now)
		all = append(all, s)
	}
	for _, n := range k.wanted {
		if n.org != org {
			continue
		}
		s := Status{Name: n.text, Org: n.org, Source: FromAuthority, State: Missing, Due: k.dueAt(n.text)}
		if h := k.held[n.text]; h != nil {
			s.Authority = h.authority
			s.describe(h.cert.Leaf, now)
			if s.State == Good && !h.renewAt().After(now) {
				s.State = Renewing
			}
		} else if n.text == k.o.Host && own == nil {
			s.Source, s.Fingerprint, s.NotBefore, s.NotAfter = SelfSigned, fingerprint(k.stopgap.Leaf), k.stopgap.Leaf.NotBefore, k.stopgap.Leaf.NotAfter
		}
		failed := k.attempts[n.text]
		s.Failures, s.Problem = failed.Failures, failed.Problem
		all = append(all, s)
	}
	return all, nil
}

func (s *Status) describe(leaf *x509.Certificate, now time.Time) {
	s.State, s.Fingerprint, s.NotBefore, s.NotAfter = Good, fingerprint(leaf), leaf.NotBefore, leaf.NotAfter
	if now.After(leaf.NotAfter) {
		s.State = Ended
	}
}

// Check is nil while the server's own name has a certificate that others accept;
// otherwise it says what is wrong.
func (k *Keeper) Check() error {
	now := k.o.Now()
	k.mu.RLock()
	defer k.mu.RUnlock()
	if own := k.o.Own(); own != nil {
		if own.Leaf != nil && now.After(own.Leaf.NotAfter) {
			return errEnded
		}
		return nil
	}
	h := k.held[k.o.Host]
	switch {
	case h == nil:
		return errSelfSigned
	case now.After(h.cert.Leaf.NotAfter):
		return errEnded
	}
	return nil
}
