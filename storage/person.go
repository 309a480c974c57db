package storage

import (
	"bytes"
	"context"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// PersonRole is what a person is for. The acts that each role allows are in package
// directory. // AC-15
type PersonRole string

const (
	PersonAdmin    PersonRole = "admin"
	PersonOperator PersonRole = "operator"
	PersonReviewer PersonRole = "reviewer"
	PersonAuditor  PersonRole = "auditor" // sees evidence, never content
)

// Password is an argon2id hash (RFC 9106) with the parameters that it was made
// with, so that these can change and old passwords still work.
type Password struct {
	Salt    []byte `json:"salt"`
	Hash    []byte `json:"hash"`
	Time    uint32 `json:"time"`   // passes
	Memory  uint32 `json:"memory"` // KiB
	Threads uint8  `json:"threads"`
}

// Person is somebody with an account of their own. Nothing in it opens a session
// without what only the person knows: the password is a hash, recovery codes are
// keyed hashes, and the whole is sealed. // AC-6
type Person struct {
	Head
	Address  string       `json:"address"` // canonical mail address: the login name
	Roles    []PersonRole `json:"roles"`   // sorted, none twice
	Password *Password    `json:"password,omitempty"`
	TOTP     []byte       `json:"totp,omitempty"` // shared secret (RFC 6238); empty: no second factor
	Step     int64        `json:"step,omitempty"` // last time step whose code was used: a code works once
	Recovery [][]byte     `json:"recovery,omitempty"`
	Created  time.Time    `json:"created"`
	// Settled is when somebody else last made the account what it is: created it,
	// gave it roles, a password or a factor, or enabled it. Where two people are
	// needed, one who was made by the other a moment ago is no second.
	Settled  time.Time `json:"settled"`
	Disabled time.Time `json:"disabled,omitzero"`
	Reason   string    `json:"reason,omitempty"` // why it is disabled
}

// Has reports whether the person has a role and is not disabled.
func (p *Person) Has(role PersonRole) bool {
	for _, r := range p.Roles {
		if r == role {
			return p.Disabled.IsZero()
		}
	}
	return false
}

// CreatePerson adds a person; ErrConflict when the address has an account.
// Created and Settled are now unless they are set.
func (tx *Tx) CreatePerson(e *audit.Event, p *Person) error {
	if p.Created.IsZero() {
		p.Created = tx.now
	}
	if p.Settled.IsZero() {
		p.Settled = p.Created
	}
	sealed, err := tx.sealRecord(e, "person", p)
	if err != nil {
		return err
	}
	e.Org, e.Object = p.Org, p.ID
	return tx.exec("INSERT INTO person (id, org, version, event, address_hash, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
		p.ID[:], p.Org[:], p.Version, p.Event[:], tx.store().hashName("person", p.Address), sealed)
}

// UpdatePerson writes a person who was read before; ErrConflict when somebody
// else wrote it in between. That is what makes a code work once: of two logins
// with the same one, the second finds another version.
func (tx *Tx) UpdatePerson(e *audit.Event, p *Person) error {
	was := p.Version
	sealed, err := tx.sealRecord(e, "person", p)
	if err != nil {
		return err
	}
	e.Org, e.Object = p.Org, p.ID
	n, err := tx.execN("UPDATE person SET version = $1, event = $2, sealed = $3 WHERE id = $4 AND version = $5",
		p.Version, p.Event[:], sealed, p.ID[:], was)
	return changed(n, err)
}

// People lists an organization's people as the transaction sees them.
func (tx *Tx) People(org uuid.UUID) ([]Person, error) {
	return listIn[Person](tx, "person", "org = $1 ORDER BY id", org[:])
}

// Person finds a person as the transaction sees them.
func (tx *Tx) Person(id uuid.UUID) (Person, error) {
	all, err := listIn[Person](tx, "person", "id = $1", id[:])
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Person{}, err
	}
	return all[0], nil
}

// Person finds a person of an organization.
func (s *Store) Person(ctx context.Context, org, id uuid.UUID) (Person, error) {
	return find[Person](ctx, s, "person", "org = $1 AND id = $2", org[:], id[:])
}

// PersonByAddress finds a person by the canonical address, of any organization.
func (s *Store) PersonByAddress(ctx context.Context, address string) (Person, error) {
	p, err := find[Person](ctx, s, "person", "address_hash = $1", s.hashName("person", address))
	if err == nil && p.Address != address {
		return Person{}, ErrCorrupt
	}
	return p, err
}

// People lists an organization's people after an id.
func (s *Store) People(ctx context.Context, org, after uuid.UUID, limit int) ([]Person, error) {
	return list[Person](ctx, s, "person", "org = $1"+page, org[:], after[:], limit)
}

// HashRecovery is the keyed hash under which a person's recovery code is stored.
func (s *Store) HashRecovery(person uuid.UUID, code string) []byte {
	return s.index.Hash("recovery", person[:], []byte(code))
}

// PersonSession lets a person act until it ends. The token itself is never
// stored: TokenHash is its keyed hash. // AC-6
type PersonSession struct {
	Head
	Person    uuid.UUID     `json:"person"`
	TokenHash []byte        `json:"token_hash"`
	Door      string        `json:"door"`             // control, panel
	Factor    bool          `json:"factor"`           // a second factor was shown
	Method    string        `json:"method,omitempty"` // how the person last showed who they are: password, totp, recovery, passkey, invitation; empty: nobody asked
	Created   time.Time     `json:"created"`
	Proved    time.Time     `json:"proved"` // when they last did
	Expires   time.Time     `json:"expires"`
	Idle      time.Duration `json:"idle,omitempty"`   // it also ends when it was not used for so long; zero: it does not
	Fresh     time.Duration `json:"fresh,omitempty"`  // how long Proved counts for what asks anew; zero: as policy says
	Ruled     bool          `json:"ruled,omitempty"`  // it also ends when policy says, as that stands now
	Network   netip.Addr    `json:"network,omitzero"` // where it began
	Client    string        `json:"client,omitempty"` // what the person came with, in its own words
	LastUsed  time.Time     `json:"-"`                // operational, in clear
}

// Ended says by which word a session is over at a time: "expired", "idle", or
// empty while it lives.
func (ps *PersonSession) Ended(now time.Time) string {
	switch {
	case !now.Before(ps.Expires):
		return "expired"
	case ps.Idle > 0 && now.Sub(ps.LastUsed) >= ps.Idle:
		return "idle"
	}
	return ""
}

// CreatePersonSession adds a session. The event's object stays as it is.
func (tx *Tx) CreatePersonSession(e *audit.Event, ps *PersonSession) error {
	ps.Created, ps.LastUsed = tx.now, tx.now
	if ps.Proved.IsZero() {
		ps.Proved = tx.now
	}
	sealed, err := tx.sealRecord(e, "person_session", ps)
	if err != nil {
		return err
	}
	return tx.exec("INSERT INTO person_session (id, org, person, version, event, token_hash, last_used, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		ps.ID[:], ps.Org[:], ps.Person[:], ps.Version, ps.Event[:], ps.TokenHash, micros(tx.now), sealed)
}

// UpdatePersonSession writes a session that was read before, under another token if
// it got one: the one before opens nothing any more. ErrConflict when somebody else
// wrote it in between.
func (tx *Tx) UpdatePersonSession(e *audit.Event, ps *PersonSession) error {
	was := ps.Version
	sealed, err := tx.sealRecord(e, "person_session", ps)
	if err != nil {
		return err
	}
	n, err := tx.execN("UPDATE person_session SET version = $1, event = $2, token_hash = $3, sealed = $4 WHERE id = $5 AND version = $6",
		ps.Version, ps.Event[:], ps.TokenHash, sealed, ps.ID[:], was)
	return changed(n, err)
}

// DeletePersonSession ends a session; ErrConflict when it has ended already.
func (tx *Tx) DeletePersonSession(e *audit.Event, ps *PersonSession) error {
	tx.forget(e, "person_session", ps)
	n, err := tx.execN("DELETE FROM person_session WHERE id = $1 AND version = $2", ps.ID[:], ps.Version)
	return changed(n, err)
}

// PersonSessions lists a person's sessions as the transaction sees them, without
// LastUsed.
func (tx *Tx) PersonSessions(person uuid.UUID) ([]PersonSession, error) {
	return listIn[PersonSession](tx, "person_session", "person = $1 ORDER BY id", person[:])
}

// HashSession is the keyed hash under which a session's token is found.
func (s *Store) HashSession(token string) []byte { return s.hashName("session", token) }

// PersonSessionByHash finds a session by its token's keyed hash.
func (s *Store) PersonSessionByHash(ctx context.Context, hash []byte) (PersonSession, error) {
	ps, err := find[PersonSession](ctx, s, "person_session", "token_hash = $1", hash)
	if err == nil && !bytes.Equal(ps.TokenHash, hash) {
		return PersonSession{}, ErrCorrupt // the row was given another token
	}
	if err != nil {
		return ps, err
	}
	return ps, s.lastUsed(ctx, &ps)
}

// PersonSessions lists a person's sessions by creation.
func (s *Store) PersonSessions(ctx context.Context, org, person uuid.UUID) ([]PersonSession, error) {
	all, err := list[PersonSession](ctx, s, "person_session", "org = $1 AND person = $2 ORDER BY id", org[:], person[:])
	for i := range all {
		if err == nil {
			err = s.lastUsed(ctx, &all[i])
		}
	}
	return all, err
}

func (s *Store) lastUsed(ctx context.Context, ps *PersonSession) error {
	return s.look(ctx, func(r *reads) error {
		var at int64
		err := found(r.row("SELECT last_used FROM person_session WHERE id = $1", ps.ID[:]).Scan(&at))
		ps.LastUsed = fromMicros(at)
		return err
	})
}

// SessionUsed notes when a person's session was last used.
func (u *Upkeep) SessionUsed(session uuid.UUID, at time.Time) error {
	return u.tx.exec("UPDATE person_session SET last_used = $1 WHERE id = $2 AND last_used < $1", micros(at), session[:])
}
