package storage

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Verbs is the set of what a scope allows on an inbox. Absent means nothing.
type Verbs uint8

const (
	Read Verbs = 1 << iota
	Flag
	Append
	Delete
	Send
)

// Scope grants verbs on one inbox.
type Scope struct {
	Inbox uuid.UUID `json:"inbox"`
	Verbs Verbs     `json:"verbs"`
}

// Environment separates test from live; it is fixed at creation.
type Environment string

const (
	Live Environment = "live"
	Test Environment = "test"
)

// View is what a credential is shown of messages; it is fixed at creation. // CO-6
type View string

const (
	ViewOriginal View = "original" // the stored bytes under our header block
	ViewSafe     View = "safe"     // what a person would see, as text, and nothing else
)

// Credential lets one agent in. The token itself is never stored: TokenHash is
// its keyed hash, and stands in the sealed part too, so that a row cannot be
// given another token.
type Credential struct {
	Head
	Agent     uuid.UUID      `json:"agent"`
	PublicID  string         `json:"public_id"` // the first 8 random characters of the token
	TokenHash []byte         `json:"token_hash"`
	Scopes    []Scope        `json:"scopes"`
	Networks  []netip.Prefix `json:"networks,omitempty"` // empty: any
	Env       Environment    `json:"env"`
	View      View           `json:"view,omitempty"` // fixed at issue; of those from before there were views, empty
	Created   time.Time      `json:"created"`
	Expires   time.Time      `json:"expires"`
	Revoked   time.Time      `json:"revoked,omitzero"`
	Reason    string         `json:"reason,omitempty"` // of the revocation
	// Of a rotation: the credential that this one replaces, and the one that
	// replaces it.
	Predecessor uuid.UUID `json:"predecessor,omitzero"`
	Successor   uuid.UUID `json:"successor,omitzero"`
	// Waiver is why it may be older than policy allows; nil: it may not.
	Waiver *Waiver `json:"waiver,omitempty"`
	// Warned is when somebody was told that its end is near.
	Warned   time.Time `json:"warned,omitzero"`
	LastUsed time.Time `json:"-"` // operational, in clear
}

// Waiver is a person's word that a credential may live longer than policy
// allows. // AC-7
type Waiver struct {
	Person uuid.UUID `json:"person,omitzero"`
	Name   string    `json:"name"` // of the person, as it was then
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// May reports whether the credential's scopes allow all the verbs on an inbox. // AC-4
func (c *Credential) May(inbox uuid.UUID, verbs Verbs) bool {
	for _, s := range c.Scopes {
		if s.Inbox == inbox {
			return s.Verbs&verbs == verbs
		}
	}
	return false
}

// Safe reports whether the credential has the safe view. What is not known to be the
// original is. // CO-6
func (c *Credential) Safe() bool { return c.View != "" && c.View != ViewOriginal }

// HashToken is the keyed hash under which a token is stored and found. // AC-6
func (s *Store) HashToken(token string) []byte { return s.hashName("token", token) }

// CreateCredential adds a credential.
func (tx *Tx) CreateCredential(e *audit.Event, c *Credential) error {
	c.Created = tx.now
	sealed, err := tx.sealRecord(e, "credential", c)
	if err != nil {
		return err
	}
	e.Org, e.Agent, e.Credential, e.Object = c.Org, c.Agent, c.ID, c.ID
	if err := tx.expectSafe(c); err != nil {
		return err
	}
	return tx.exec("INSERT INTO credential (id, org, agent, version, event, public_id, token_hash, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		c.ID[:], c.Org[:], c.Agent[:], c.Version, c.Event[:], c.PublicID, c.TokenHash, sealed)
}

// UpdateCredential writes a credential that was read before; ErrConflict when
// somebody else wrote it in between.
func (tx *Tx) UpdateCredential(e *audit.Event, c *Credential) error {
	was := c.Version
	sealed, err := tx.sealRecord(e, "credential", c)
	if err != nil {
		return err
	}
	e.Org, e.Agent, e.Credential, e.Object = c.Org, c.Agent, c.ID, c.ID
	n, err := tx.execN("UPDATE credential SET version = $1, event = $2, sealed = $3 WHERE id = $4 AND version = $5",
		c.Version, c.Event[:], sealed, c.ID[:], was)
	return changed(n, err)
}

// CredentialByHash finds a credential by its token's keyed hash.
func (s *Store) CredentialByHash(ctx context.Context, hash []byte) (Credential, error) {
	c, err := s.known.credentials.ask(string(hash), func() (Credential, error) {
		c, err := find[Credential](ctx, s, "credential", "token_hash = $1", hash)
		if err == nil && !bytes.Equal(c.TokenHash, hash) {
			return Credential{}, ErrCorrupt // the row was given another token
		}
		return c, err
	})
	return c.own(), err
}

// CredentialByPublicID finds a credential of an organization by its public id.
func (s *Store) CredentialByPublicID(ctx context.Context, org uuid.UUID, id string) (Credential, error) {
	c, err := find[Credential](ctx, s, "credential", "org = $1 AND public_id = $2", org[:], id)
	if err == nil && c.PublicID != id {
		return Credential{}, ErrCorrupt
	}
	return c, err
}

// Credential finds a credential of an organization.
func (s *Store) Credential(ctx context.Context, org, id uuid.UUID) (Credential, error) {
	return find[Credential](ctx, s, "credential", "org = $1 AND id = $2", org[:], id[:])
}

// Credentials lists all credentials of an agent by creation.
func (s *Store) Credentials(ctx context.Context, org, agent uuid.UUID) ([]Credential, error) {
	return s.credentials(ctx, "org = $1 AND agent = $2 ORDER BY id", org[:], agent[:])
}

// CredentialsAfter lists the credentials of an agent after an id, by creation, at most limit.
func (s *Store) CredentialsAfter(ctx context.Context, org, agent, after uuid.UUID, limit int) ([]Credential, error) {
	return s.credentials(ctx, "org = $1 AND agent = $2 AND id > $3 ORDER BY id LIMIT $4", org[:], agent[:], after[:], limit)
}

func (s *Store) credentials(ctx context.Context, where string, args ...any) ([]Credential, error) {
	creds, err := list[Credential](ctx, s, "credential", where, args...)
	if err != nil {
		return nil, err
	}
	return creds, s.read(ctx, func(r *reads) error {
		for i := range creds {
			var at int64
			if err := found(r.row("SELECT last_used FROM credential WHERE id = $1", creds[i].ID[:]).Scan(&at)); err != nil {
				return err
			}
			creds[i].LastUsed = fromMicros(at)
		}
		return nil
	})
}

// AgentsOf lists the agents of an organization with a credential that could open an
// inbox now, each once. It reads all credentials: it is for what is rare.
func (s *Store) AgentsOf(ctx context.Context, org, inbox uuid.UUID, now time.Time) (agents []uuid.UUID, err error) {
	const chunk = 500
	for after := uuid.Nil; ; {
		some, err := list[Credential](ctx, s, "credential", "org = $1"+page, org[:], after[:], chunk)
		if err != nil {
			return nil, err
		}
		for i := range some {
			c := &some[i]
			after = c.ID
			if c.May(inbox, 0) && c.Revoked.IsZero() && now.Before(c.Expires) && !slices.Contains(agents, c.Agent) {
				agents = append(agents, c.Agent)
			}
		}
		if len(some) < chunk {
			return agents, nil
		}
	}
}
