package storage

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// STSPolicy is what a destination says about TLS by MTA-STS (RFC 8461), as mail of
// one organization met it. It decides whether mail may go in clear, so it is a
// record like any other: who takes it away is seen. Organizations share none, for
// which domains one of them writes to is nobody else's to learn.
type STSPolicy struct {
	Head
	Domain   string    `json:"domain"`    // whose policy it is, in A-labels
	RecordID string    `json:"record_id"` // id of its TXT record when it was fetched
	Text     string    `json:"text"`      // the policy, a field a line
	Fetched  time.Time `json:"fetched"`
	Expires  time.Time `json:"expires"`

	Used time.Time `json:"-"` // operational: when mail last went by it, to the day
	Due  time.Time `json:"-"` // operational: when it is to be fetched again
}

// hashDestination is by which a policy is found.
func (s *Store) hashDestination(ctx context.Context, org uuid.UUID, domain string) ([]byte, error) {
	key, err := s.orgKey(ctx, org)
	if err != nil {
		return nil, err
	}
	return key.Hash("sts", []byte(domain))[:16], nil
}

// PutSTSPolicy writes a policy: a new one when its ID is zero, else the one that
// was read before; ErrConflict when somebody else wrote it in between.
func (tx *Tx) PutSTSPolicy(e *audit.Event, p *STSPolicy) error {
	hash, err := tx.store().hashDestination(context.Background(), p.Org, p.Domain)
	if err != nil {
		return err
	}
	was, fresh := p.Version, p.ID == uuid.Nil
	sealed, err := tx.sealRecord(e, "sts_policy", p)
	if err != nil {
		return err
	}
	p.name(e)
	if fresh {
		p.Used = tx.now
		return tx.exec("INSERT INTO sts_policy (id, org, version, event, dest_hash, used, due, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
			p.ID[:], p.Org[:], p.Version, p.Event[:], hash, micros(p.Used), micros(p.Due), sealed)
	}
	n, err := tx.execN("UPDATE sts_policy SET version = $1, event = $2, due = $3, sealed = $4 WHERE id = $5 AND version = $6",
		p.Version, p.Event[:], micros(p.Due), sealed, p.ID[:], was)
	return changed(n, err)
}

// DropSTSPolicy deletes a policy that was read before; ErrConflict as in
// PutSTSPolicy.
func (tx *Tx) DropSTSPolicy(e *audit.Event, p *STSPolicy) error {
	p.name(e)
	tx.forget(e, "sts_policy", p)
	n, err := tx.execN("DELETE FROM sts_policy WHERE id = $1 AND version = $2", p.ID[:], p.Version)
	return changed(n, err)
}

// name says in an event which policy it is about.
func (p *STSPolicy) name(e *audit.Event) {
	e.Org, e.Object = p.Org, p.ID
	e.Personal = append(e.Personal, audit.Text(audit.KeyDomain, p.Domain))
}

// UseSTSPolicy notes that mail went by a policy.
func (u *Upkeep) UseSTSPolicy(id uuid.UUID) error {
	return u.tx.exec("UPDATE sts_policy SET used = $1 WHERE id = $2", micros(u.tx.now), id[:])
}

// DelaySTSPolicy says when a policy is to be fetched again.
func (u *Upkeep) DelaySTSPolicy(id uuid.UUID, due time.Time) error {
	return u.tx.exec("UPDATE sts_policy SET due = $1 WHERE id = $2", micros(due), id[:])
}

// STSPolicy finds the policy of a domain that an organization's mail met, perhaps
// one that has expired; ErrNotFound when there is none.
func (s *Store) STSPolicy(ctx context.Context, org uuid.UUID, domain string) (STSPolicy, error) {
	hash, err := s.hashDestination(ctx, org, domain)
	if err != nil {
		return STSPolicy{}, err
	}
	all, err := s.stsPolicies(ctx, "org = $1 AND dest_hash = $2", org[:], hash)
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return STSPolicy{}, err
	}
	return all[0], nil
}

// DueSTSPolicies lists policies that are to be fetched again by now, at most limit.
func (s *Store) DueSTSPolicies(ctx context.Context, now time.Time, limit int) ([]STSPolicy, error) {
	return s.stsPolicies(ctx, "due <= $1 ORDER BY due, id LIMIT $2", micros(now), limit)
}

func (s *Store) stsPolicies(ctx context.Context, where string, args ...any) ([]STSPolicy, error) {
	type hints struct {
		hash      []byte
		used, due int64
	}
	var sealed []sealedRow
	var clear []hints
	err := s.read(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT "+headColumns+", dest_hash, used, due FROM sts_policy WHERE "+where, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var h hints
			row, err := scanHead(rows, &h.hash, &h.used, &h.due)
			if err != nil {
				return err
			}
			sealed, clear = append(sealed, row), append(clear, h)
		}
		return classify(rows.Err())
	})
	if err != nil {
		return nil, err
	}
	all, err := openRows[STSPolicy](ctx, s, "sts_policy", sealed)
	if err != nil {
		return nil, err
	}
	for i := range all {
		hash, err := s.hashDestination(ctx, all[i].Org, all[i].Domain)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(hash, clear[i].hash) {
			return nil, fmt.Errorf("%w: MTA-STS policy %s: its column dest_hash is not that of its record", ErrCorrupt, all[i].ID)
		}
		all[i].Used, all[i].Due = fromMicros(clear[i].used), fromMicros(clear[i].due)
	}
	return all, nil
}
