package control

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/dkim"
	"postern/dns/zone"
	"postern/server/directory"
	"postern/storage"
)

// SigningKey is the public side of a signing key, and where its rotation stands.
type SigningKey struct {
	Domain    string     `json:"domain"`
	Selector  string     `json:"selector"`
	Algorithm string     `json:"algorithm"`
	State     dkim.State `json:"state"` // prepared, published, signing, retiring, revoked, retired
	Since     time.Time  `json:"since"` // when it came into the state

	Awaits dkim.Awaited `json:"awaits,omitempty"`    // record, caches, age, mail, selector
	At     time.Time    `json:"at,omitzero"`         // when that is over, or is looked at again
	Safe   time.Time    `json:"safe_after,omitzero"` // from when the record may be removed from the DNS

	Name   string `json:"name"`    // of the TXT record, without the final dot
	Record string `json:"record"`  // its text
	Zone   string `json:"zone"`    // both as a line of a zone file
	ByHand bool   `json:"by_hand"` // people publish it; else this server does

	Created   time.Time `json:"created_at"`
	Published time.Time `json:"published_at,omitzero"`
	Signing   time.Time `json:"signing_at,omitzero"`
	Retiring  time.Time `json:"retiring_at,omitzero"`
	Revoked   time.Time `json:"revoked_at,omitzero"`
	Retired   time.Time `json:"retired_at,omitzero"`
}

// KeyRef names a domain, and one of its keys.
type KeyRef struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// KeyOrder asks for new keys.
type KeyOrder struct {
	Domain    string `json:"domain"`
	Algorithm string `json:"algorithm,omitempty"` // "rsa" or "ed25519"; empty: both
	Now       bool   `json:"now,omitempty"`       // do not wait for caches
	Reason    string `json:"reason,omitempty"`
}

func (s *Server) dkimCommands() {
	lines(s, "dkim.list", s.dkimList)
	lines(s, "dkim.show", s.dkimShow)
	lines(s, "dkim.rotate", s.dkimRotate)
	lines(s, "dkim.retire", s.dkimRetire)
	lines(s, "dkim.revoke", s.dkimRevoke)
}

// SigningKeys lists the keys of all domains that are not retired.
func (c *Client) SigningKeys(ctx context.Context) iter.Seq2[SigningKey, error] {
	return rows[None, SigningKey](ctx, c, "dkim.list", None{})
}

func (s *Server) dkimList(ctx context.Context, by caller, _ None, emit func(SigningKey) error) error {
	read := func(after uuid.UUID) ([]storage.Domain, error) { return s.Directory.Domains(ctx, by.org, after, page) }
	id := func(d *storage.Domain) uuid.UUID { return d.ID }
	return pages(read, id, func(d *storage.Domain) error {
		return s.emitKeys(ctx, by, d.Name, false, emit)
	})
}

// KeysOf lists the keys of a domain, in every state, by creation.
func (c *Client) KeysOf(ctx context.Context, domain string) iter.Seq2[SigningKey, error] {
	return rows[KeyRef, SigningKey](ctx, c, "dkim.show", KeyRef{Domain: domain})
}

func (s *Server) dkimShow(ctx context.Context, by caller, q KeyRef, emit func(SigningKey) error) error {
	return s.emitKeys(ctx, by, q.Domain, true, emit)
}

// RotateKeys orders the successors of a domain's keys, and lists all that it has.
func (c *Client) RotateKeys(ctx context.Context, q KeyOrder) iter.Seq2[SigningKey, error] {
	return rows[KeyOrder, SigningKey](ctx, c, "dkim.rotate", q)
}

func (s *Server) dkimRotate(ctx context.Context, by caller, q KeyOrder, emit func(SigningKey) error) error {
	o := directory.KeyOrder{Hasty: q.Now, Reason: q.Reason}
	switch a := dkim.Algorithm(q.Algorithm); a {
	case "":
	case dkim.RSA, dkim.Ed25519:
		o.Algorithms = []dkim.Algorithm{a}
	default:
		return invalid("there is no algorithm %q: say rsa or ed25519", q.Algorithm)
	}
	if err := s.Directory.RotateKeys(ctx, by.Actor, by.org, q.Domain, o); err != nil {
		return missing(err, "domain", q.Domain)
	}
	return s.emitKeys(ctx, by, q.Domain, false, emit)
}

// RetireKey ends a key before its time, and lists what the domain has.
func (c *Client) RetireKey(ctx context.Context, q KeyRef) iter.Seq2[SigningKey, error] {
	return rows[KeyRef, SigningKey](ctx, c, "dkim.retire", q)
}

func (s *Server) dkimRetire(ctx context.Context, by caller, q KeyRef, emit func(SigningKey) error) error {
	err := s.Directory.RetireKey(ctx, by.Actor, by.org, q.Domain, q.Selector)
	return s.changedKey(ctx, by, q, err, emit)
}

// RevokeKey ends a key that somebody else may have, and lists what the domain has.
func (c *Client) RevokeKey(ctx context.Context, q KeyRef) iter.Seq2[SigningKey, error] {
	return rows[KeyRef, SigningKey](ctx, c, "dkim.revoke", q)
}

func (s *Server) dkimRevoke(ctx context.Context, by caller, q KeyRef, emit func(SigningKey) error) error {
	if q.Reason == "" {
		return invalid("say why the key is revoked: it is for the audit log")
	}
	err := s.Directory.RevokeKey(ctx, by.Actor, by.org, q.Domain, q.Selector, q.Reason)
	return s.changedKey(ctx, by, q, err, emit)
}

func (s *Server) changedKey(ctx context.Context, by caller, q KeyRef, err error, emit func(SigningKey) error) error {
	switch {
	case errors.Is(err, directory.ErrNoSuchKey):
		return missing(err, "key", q.Selector)
	case err != nil:
		return missing(err, "domain", q.Domain)
	}
	return s.emitKeys(ctx, by, q.Domain, false, emit)
}

func (s *Server) emitKeys(ctx context.Context, by caller, name string, retired bool, emit func(SigningKey) error) error {
	domain, keys, err := s.Directory.KeyStatuses(ctx, by.org, name)
	if err != nil {
		return missing(err, "domain", name)
	}
	for i := range keys {
		if !retired && keys[i].State == dkim.Retired {
			continue
		}
		if err := emit(signingKey(domain.Name, &keys[i])); err != nil {
			return err
		}
	}
	return nil
}

func signingKey(domain string, k *directory.KeyStatus) SigningKey {
	name := dkim.RecordName(k.Selector, domain)
	line := zone.Record{Name: name, Type: "TXT", Value: k.Record, TTL: zone.TTL}
	return SigningKey{
		Domain: domain, Selector: k.Selector, Algorithm: k.Algorithm, State: k.State, Since: k.Since(),
		Awaits: k.Awaits, At: k.At, Safe: k.Safe,
		Name: name, Record: k.Record, Zone: fmt.Sprintf("%s. %d IN TXT %s", name, zone.TTL/time.Second, line.Data()), ByHand: k.ByHand,
		Created: k.Created, Published: k.Published, Signing: k.Signing, Retiring: k.Retiring, Revoked: k.Revoked, Retired: k.Retired,
	}
}
