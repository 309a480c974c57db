package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"postern/storage/seal"
)

// Baseline is what an agent usually does: how much in an hour, at which hours of
// the week, from which networks. It follows from the audit log, decides nothing
// about anybody's rights, and is sealed because of the networks. // PI-7
type Baseline struct {
	Org   uuid.UUID `json:"-"`
	Agent uuid.UUID `json:"-"`

	Since time.Time `json:"since"` // of the first activity
	Day   int64     `json:"day"`   // of the last activity, in days since 1970
	Days  int       `json:"days"`  // on which there was any

	Sends     Rate `json:"sends"`
	Forwards  Rate `json:"forwards"`
	FirstTime Rate `json:"first_time"` // recipients to whom the inbox had never written

	Week     [168]uint16   `json:"week"`      // hours of activity, by the hour of the week from Monday 00:00 UTC
	Hour     int64         `json:"hour"`      // of the last activity, in hours since 1970
	OddHours time.Time     `json:"odd_hours"` // when an odd hour rang last
	Networks []NetworkSeen `json:"networks"`
	Together []NetworkPair `json:"together,omitempty"` // that were used at once, and rang
}

// Rate is how often something happens in an hour.
type Rate struct {
	Slots [6]uint32 `json:"slots"` // the last hour, in slots of ten minutes
	Slot  int64     `json:"slot"`  // the newest of them, in slots since 1970
	Hour  int64     `json:"hour"`  // that Count is of, in hours since 1970
	Count uint32    `json:"count"`
	Mean  float64   `json:"mean"` // of whole hours, decayed
	Var   float64   `json:"var"`
	Peak  float64   `json:"peak"` // the most in any sixty minutes, decayed
	High  [2]uint32 `json:"high"` // the most in sixty minutes that ended in this hour, and in the one before: not in Peak yet
}

// NetworkSeen is a network that an agent logs in from.
type NetworkSeen struct {
	Network netip.Prefix `json:"network"`
	Days    int          `json:"days"` // on which it did
	Last    int64        `json:"last"` // of these, in days since 1970
}

// NetworkPair are two networks that one credential was used from at once.
type NetworkPair struct {
	A, B netip.Prefix
	Rang time.Time
}

func baselineIdentity(org, agent uuid.UUID) seal.Identity {
	return seal.Identity{Org: org, Table: "baseline", ID: agent[:], Purpose: "baseline"}
}

// Baseline finds the baseline of an agent; ErrNotFound when there is none yet.
func (s *Store) Baseline(ctx context.Context, org, agent uuid.UUID) (Baseline, error) {
	var sealed []byte
	err := s.look(ctx, func(r *reads) error {
		return found(r.row("SELECT sealed FROM baseline WHERE agent = $1 AND org = $2", agent[:], org[:]).Scan(&sealed))
	})
	if err != nil {
		return Baseline{}, err
	}
	key, err := s.orgKey(ctx, org)
	if err != nil {
		return Baseline{}, err
	}
	b := Baseline{Org: org, Agent: agent}
	plain, err := key.Open(sealed, baselineIdentity(org, agent))
	if err == nil {
		err = json.Unmarshal(plain, &b)
	}
	if err != nil {
		return Baseline{}, fmt.Errorf("%w: baseline of agent %s: %v", ErrCorrupt, agent, err)
	}
	return b, nil
}

// PutBaseline writes the baseline of an agent.
func (u *Upkeep) PutBaseline(b *Baseline) error {
	key, err := u.tx.store().orgKey(context.Background(), b.Org)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return u.tx.exec("INSERT INTO baseline (agent, org, sealed) VALUES ($1, $2, $3) ON CONFLICT (agent) DO UPDATE SET sealed = excluded.sealed",
		b.Agent[:], b.Org[:], key.Seal(plain, baselineIdentity(b.Org, b.Agent)))
}

// DropBaseline forgets what an agent used to do.
func (u *Upkeep) DropBaseline(agent uuid.UUID) error {
	return u.tx.exec("DELETE FROM baseline WHERE agent = $1", agent[:])
}
