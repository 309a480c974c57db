package storage

import (
	"context"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// SetupStep is a step of the set-up of an installation.
type SetupStep string

// The steps, in their order.
const (
	SetupName   SetupStep = "name"   // host name and addresses
	SetupKeys   SetupStep = "keys"   // the recovery key
	SetupAdmin  SetupStep = "admin"  // the first person
	SetupDomain SetupStep = "domain" // the first domain
	SetupAgent  SetupStep = "agent"  // the first agent
)

// Setup is what an installation without a configured name was told instead of by its
// configuration file, and how far it is. One row for the first organization; its ID is
// that organization's.
type Setup struct {
	Head
	Host      string      `json:"host,omitempty"`      // A-labels in lower case; empty: not yet
	Addresses []string    `json:"addresses,omitempty"` // of Host, as others reach it; none: what the machine knows
	Directory string      `json:"directory,omitempty"` // authority for certificates, as in acme.directory
	Contact   string      `json:"contact,omitempty"`   // for that authority
	Probe     string      `json:"probe,omitempty"`     // domain whose mail server may be connected to, to try port 25; empty: none may
	Lists     bool        `json:"lists,omitempty"`     // block lists may be asked about the addresses
	Skipped   []SetupStep `json:"skipped,omitempty"`   // each once, in the order of the steps
	Finished  time.Time   `json:"finished,omitzero"`

	Recovery SetupRecovery `json:"recovery,omitzero"`

	Link        []byte    `json:"link,omitempty"` // keyed hash of the link that waits to be used
	LinkEnds    time.Time `json:"link_ends,omitzero"`
	Session     []byte    `json:"session,omitempty"` // keyed hash of the token of who used a link
	SessionID   uuid.UUID `json:"session_id,omitzero"`
	SessionEnds time.Time `json:"session_ends,omitzero"`

	// The certificate that stands in until there is another: a person has compared its
	// fingerprint, so that it must outlive a restart. In PEM.
	Certificate []byte `json:"certificate,omitempty"`
	Key         []byte `json:"key,omitempty"`
}

// SetupRecovery is what is known of the recovery key that was made last.
type SetupRecovery struct {
	ID        string    `json:"id,omitempty"`   // its public name
	Tail      string    `json:"tail,omitempty"` // its last four characters, which a person types to show that they have it
	Made      time.Time `json:"made,omitzero"`
	Confirmed time.Time `json:"confirmed,omitzero"`
}

// Setup finds how far an organization's installation is set up. ErrNotFound: it never
// began, since a configuration file says all that is needed.
func (s *Store) Setup(ctx context.Context, org uuid.UUID) (Setup, error) {
	return find[Setup](ctx, s, "setup", "id = $1", org[:])
}

// PutSetup writes the first row of an organization, with Version zero, or one that was
// read before; ErrConflict when somebody else wrote it in between. That is what makes
// a link work once.
func (tx *Tx) PutSetup(e *audit.Event, u *Setup) error {
	was := u.Version
	u.ID = u.Org
	sealed, err := tx.sealRecord(e, "setup", u)
	if err != nil {
		return err
	}
	e.Org, e.Object = u.Org, u.ID
	if was == 0 {
		n, err := tx.execN("INSERT INTO setup (id, org, version, event, sealed) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
			u.ID[:], u.Org[:], u.Version, u.Event[:], sealed)
		return changed(n, err)
	}
	n, err := tx.execN("UPDATE setup SET version = $1, event = $2, sealed = $3 WHERE id = $4 AND version = $5",
		u.Version, u.Event[:], sealed, u.ID[:], was)
	return changed(n, err)
}

// HashLink is the keyed hash under which a link's text is stored. // AC-6
func (s *Store) HashLink(text string) []byte { return s.hashName("link", text) }
