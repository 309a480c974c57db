package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Passkey is a public key by which a person shows who they are (WebAuthn). The
// private one never leaves their authenticator. // AC-15
type Passkey struct {
	Head
	Person     uuid.UUID       `json:"person"`
	Name       string          `json:"name"`       // as the person calls it
	Host       string          `json:"host"`       // the relying party's id that it was made for: it works there alone
	Credential []byte          `json:"credential"` // its id, as the authenticator chose it
	Key        json.RawMessage `json:"key"`        // public key, counter and flags, as the floor above keeps them
	Created    time.Time       `json:"created"`
	LastUsed   time.Time       `json:"last_used,omitzero"`
	// Suspect is when its counter went back: somebody may have a copy of it. It lets
	// nobody in any more.
	Suspect time.Time `json:"suspect,omitzero"`
}

// CreatePasskey adds a passkey; ErrConflict when its credential is somebody's
// already. The event's object stays as it is.
func (tx *Tx) CreatePasskey(e *audit.Event, k *Passkey) error {
	if k.Created.IsZero() {
		k.Created = tx.now
	}
	sealed, err := tx.sealRecord(e, "passkey", k)
	if err != nil {
		return err
	}
	return tx.exec("INSERT INTO passkey (id, org, person, version, event, credential_hash, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		k.ID[:], k.Org[:], k.Person[:], k.Version, k.Event[:], tx.store().hashCredential(k.Credential), sealed)
}

// UpdatePasskey writes a passkey that was read before; ErrConflict when somebody
// else wrote it in between: of two answers with the same counter one counts.
func (tx *Tx) UpdatePasskey(e *audit.Event, k *Passkey) error {
	was := k.Version
	sealed, err := tx.sealRecord(e, "passkey", k)
	if err != nil {
		return err
	}
	n, err := tx.execN("UPDATE passkey SET version = $1, event = $2, sealed = $3 WHERE id = $4 AND version = $5",
		k.Version, k.Event[:], sealed, k.ID[:], was)
	return changed(n, err)
}

// DeletePasskey takes a passkey away; ErrConflict when it is gone already.
func (tx *Tx) DeletePasskey(e *audit.Event, k *Passkey) error {
	tx.forget(e, "passkey", k)
	n, err := tx.execN("DELETE FROM passkey WHERE id = $1 AND version = $2", k.ID[:], k.Version)
	return changed(n, err)
}

// Passkeys lists a person's passkeys as the transaction sees them.
func (tx *Tx) Passkeys(person uuid.UUID) ([]Passkey, error) {
	return listIn[Passkey](tx, "passkey", "person = $1 ORDER BY id", person[:])
}

// Passkeys lists a person's passkeys by creation.
func (s *Store) Passkeys(ctx context.Context, org, person uuid.UUID) ([]Passkey, error) {
	return list[Passkey](ctx, s, "passkey", "org = $1 AND person = $2 ORDER BY id", org[:], person[:])
}

// PasskeyByCredential finds a passkey by the id of its credential, of any
// organization.
func (s *Store) PasskeyByCredential(ctx context.Context, credential []byte) (Passkey, error) {
	k, err := find[Passkey](ctx, s, "passkey", "credential_hash = $1", s.hashCredential(credential))
	if err == nil && !bytes.Equal(k.Credential, credential) {
		return Passkey{}, ErrCorrupt
	}
	return k, err
}

func (s *Store) hashCredential(id []byte) []byte { return s.hashName("passkey", string(id)) }
