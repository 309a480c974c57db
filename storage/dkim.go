package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/dkim"
	"postern/storage/audit"
)

// DKIMKey is a signing key of a domain. The row outlives the private key: what
// was published, and when it signed, can be asked for as long as the domain is
// there. // AU-11, CO-3
type DKIMKey struct {
	Head
	Domain    uuid.UUID  `json:"domain"`
	Selector  string     `json:"selector"`
	Algorithm string     `json:"algorithm"` // "ed25519" or "rsa"
	State     dkim.State `json:"state"`
	Record    string     `json:"record"`            // text of the TXT record that belongs into the DNS now
	Private   []byte     `json:"private,omitempty"` // PKCS #8; empty once it is destroyed

	// When the key came into each state; zero: it did not.
	Created   time.Time `json:"created"`
	Published time.Time `json:"published,omitzero"`
	Signing   time.Time `json:"signing,omitzero"`
	Retiring  time.Time `json:"retiring,omitzero"`
	Revoked   time.Time `json:"revoked,omitzero"`
	Retired   time.Time `json:"retired,omitzero"`

	// Stale is how long after Published a cache may hold what was there before.
	Stale time.Duration `json:"stale,omitempty"`
	// Hasty: a person asked not to wait for such caches.
	Hasty bool `json:"hasty,omitempty"`
	// Reminded is when people were last told to publish the record.
	Reminded time.Time `json:"reminded,omitzero"`
}

// Since is when the key came into the state that it is in.
func (k *DKIMKey) Since() time.Time {
	switch k.State {
	case dkim.Published:
		return k.Published
	case dkim.Signing:
		return k.Signing
	case dkim.Retiring:
		return k.Retiring
	case dkim.Revoked:
		return k.Revoked
	case dkim.Retired:
		return k.Retired
	}
	return k.Created
}

// complete fills in what the record of a key has that was written before keys had
// states: it signs since it was made.
func (k *DKIMKey) complete() error {
	if k.State != "" {
		return nil
	}
	private, err := dkim.ParseKey(k.Private)
	if err != nil {
		return fmt.Errorf("%w: dkim_key %s: %v", ErrCorrupt, k.ID, err)
	}
	k.State, k.Signing, k.Record = dkim.Signing, k.Created, private.Record()
	return nil
}

// CreateDKIMKey adds a key in the state that it has. Somebody looks at it at due.
func (tx *Tx) CreateDKIMKey(e *audit.Event, k *DKIMKey, due time.Time) error {
	k.Created = tx.now
	sealed, err := tx.sealRecord(e, "dkim_key", k)
	if err != nil {
		return err
	}
	e.Org, e.Object = k.Org, k.Domain
	return tx.exec("INSERT INTO dkim_key (id, org, domain, version, event, due, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		k.ID[:], k.Org[:], k.Domain[:], k.Version, k.Event[:], micros(due), sealed)
}

// UpdateDKIMKey writes a key that was read before, and has somebody look at it
// again at once. ErrConflict when somebody else wrote it in between.
func (tx *Tx) UpdateDKIMKey(e *audit.Event, k *DKIMKey) error {
	was := k.Version
	sealed, err := tx.sealRecord(e, "dkim_key", k)
	if err != nil {
		return err
	}
	e.Org, e.Object = k.Org, k.Domain
	n, err := tx.execN("UPDATE dkim_key SET version = $1, event = $2, due = $3, sealed = $4 WHERE id = $5 AND version = $6",
		k.Version, k.Event[:], micros(tx.now), sealed, k.ID[:], was)
	return changed(n, err)
}

// DKIMKeys lists a domain's keys by creation, in whatever state.
func (s *Store) DKIMKeys(ctx context.Context, domain uuid.UUID) ([]DKIMKey, error) {
	keys, err := list[DKIMKey](ctx, s, "dkim_key", "domain = $1 ORDER BY id", domain[:])
	return completeKeys(keys, domain, err)
}

// DKIMKeys lists a domain's keys as the transaction sees them.
func (tx *Tx) DKIMKeys(domain uuid.UUID) ([]DKIMKey, error) {
	keys, err := listIn[DKIMKey](tx, "dkim_key", "domain = $1 ORDER BY id", domain[:])
	return completeKeys(keys, domain, err)
}

// completeKeys holds keys against the column that they were found by: a key that
// was moved to another domain signs for nobody.
func completeKeys(keys []DKIMKey, domain uuid.UUID, err error) ([]DKIMKey, error) {
	for i := range keys {
		if keys[i].Domain != domain {
			return nil, fmt.Errorf("%w: dkim_key %s: its column domain is not that of its record", ErrCorrupt, keys[i].ID)
		}
		if err := keys[i].complete(); err != nil {
			return nil, err
		}
	}
	return keys, err
}

// DueDKIM is a domain whose keys somebody should look at.
type DueDKIM struct{ Org, Domain uuid.UUID }

// DueDKIM names the domains whose keys are due, one that waits longest first, at
// most limit of them.
func (s *Store) DueDKIM(ctx context.Context, limit int) (due []DueDKIM, err error) {
	err = s.read(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT org, domain FROM dkim_key WHERE due <= $1 GROUP BY org, domain ORDER BY MIN(due), domain LIMIT $2", micros(s.now()), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var d DueDKIM
			if err := rows.Scan(&d.Org, &d.Domain); err != nil {
				return classify(err)
			}
			due = append(due, d)
		}
		return classify(rows.Err())
	})
	return due, err
}

// NextDKIMDue is when the next of them is due; the zero time when there are none.
func (s *Store) NextDKIMDue(ctx context.Context) (at time.Time, err error) {
	var due *int64
	err = s.look(ctx, func(r *reads) error { return classify(r.row("SELECT MIN(due) FROM dkim_key").Scan(&due)) })
	if due != nil {
		at = fromMicros(*due)
	}
	return at, err
}

// PostponeDKIM has somebody look at a domain's keys again at a time.
func (u *Upkeep) PostponeDKIM(domain uuid.UUID, due time.Time) error {
	return u.tx.exec("UPDATE dkim_key SET due = $1 WHERE domain = $2", micros(due), domain[:])
}

// deleteDKIMKeys removes the keys of a domain that is removed.
func (tx *Tx) deleteDKIMKeys(e *audit.Event, domain uuid.UUID) error {
	rows, err := sealedRows(tx, "dkim_key", "domain = $1 ORDER BY id", domain[:])
	if err != nil {
		return err
	}
	for _, row := range rows {
		tx.forget(e, "dkim_key", &DKIMKey{Head: row.head})
	}
	return tx.exec("DELETE FROM dkim_key WHERE domain = $1", domain[:])
}
