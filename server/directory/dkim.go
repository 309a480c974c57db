package directory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/dkim"
	"postern/storage"
	"postern/storage/audit"
)

// DefaultKeyAge is how long a key of a domain whose names are ours signs before
// its successor is made, where policy says nothing. Of others only people can
// publish the successor, so nothing is made until they ask.
const DefaultKeyAge = 180 * 24 * time.Hour

// defaultLife is how long servers try to deliver (RFC 5321, section 4.5.4.1).
const defaultLife = 5 * 24 * time.Hour

// maxVisible bounds the keys of an algorithm whose records must stay at a time:
// more is a zone that grows by mistake.
const maxVisible = 8

// algorithms in the order in which keys are made: everybody verifies RSA, and
// Ed25519 is small and strong (RFC 8463).
var algorithms = []dkim.Algorithm{dkim.Ed25519, dkim.RSA}

// Keys is what Options has for the rotation of signing keys.
type Keys struct {
	// Sight asks the DNS for the record of a key: whether all authoritative servers
	// and a resolver show exactly this text, and if it is not there, for how long
	// others may keep that it is not. Nil: nobody can be asked, and no successor ever
	// signs.
	Sight func(ctx context.Context, domain *storage.Domain, selector, record string) (dkim.Sighting, time.Duration)
	// Age asks policy how long a key of a domain signs before its successor is made,
	// zero: only when a person asks; said is false where policy says nothing. Nil: it
	// never says anything.
	Age func(ctx context.Context, org, domain uuid.UUID) (age time.Duration, said bool, err error)
	// Life is how long the queue tries to deliver a message; zero: 5 days.
	Life time.Duration
}

// KeyStatus is a signing key, and what its rotation waits for.
type KeyStatus struct {
	storage.DKIMKey
	Awaits dkim.Awaited // what the key waits for to come into its next state
	At     time.Time    // when that is, or when somebody looks again; zero: not known
	// Safe is from when the record may be removed from the DNS, of a key that signs
	// no more.
	Safe time.Time
	// ByHand: people publish the record; else this server does.
	ByHand bool
}

// KeyStatuses lists a domain's keys by creation, with what each waits for.
func (d *Directory) KeyStatuses(ctx context.Context, org uuid.UUID, name string) (storage.Domain, []KeyStatus, error) {
	domain, err := d.Domain(ctx, org, name)
	if err != nil {
		return domain, nil, err
	}
	keys, err := d.store.DKIMKeys(ctx, domain.ID)
	if err != nil {
		return domain, nil, err
	}
	r, err := d.rotationOf(ctx, &domain)
	if err != nil {
		return domain, nil, err
	}
	all := make([]KeyStatus, len(keys))
	for i, k := range keys {
		all[i] = KeyStatus{DKIMKey: k, Safe: r.safe(&k), ByHand: !r.publishes(k.Selector, dkim.Algorithm(k.Algorithm))}
		if !all[i].Safe.IsZero() && k.State != dkim.Retired {
			all[i].Awaits, all[i].At = dkim.AwaitMail, all[i].Safe
		}
	}
	for _, a := range algorithms {
		stages, places := r.stages(keys, a, nil)
		if m := dkim.Next(d.now(), stages, r.terms(keys, a)); m.Step == dkim.StepWait && m.Key >= 0 {
			all[places[m.Key]].Awaits, all[places[m.Key]].At = m.Awaits, m.At
		}
	}
	return domain, all, nil
}

// rotation is what holds for the keys of one domain.
type rotation struct {
	domain *storage.Domain
	every  time.Duration
	life   time.Duration
}

func (d *Directory) rotationOf(ctx context.Context, domain *storage.Domain) (rotation, error) {
	r := rotation{domain: domain, life: d.keys.Life}
	if r.life <= 0 {
		r.life = defaultLife
	}
	if domain.Names != storage.NamesByHand {
		r.every = DefaultKeyAge
	}
	if d.keys.Age == nil {
		return r, nil
	}
	age, said, err := d.keys.Age(ctx, domain.Org, domain.ID)
	if said {
		r.every = age
	}
	return r, err
}

// publishes reports whether this server itself puts the record of a key into the DNS.
func (r rotation) publishes(selector string, a dkim.Algorithm) bool {
	fixed := dkim.FixedSelectors(a)
	return r.domain.Names != storage.NamesByHand && (r.domain.Names != storage.NamesCNAME || slices.Contains(fixed[:], selector))
}

// safe is from when the record of a key that signs no more may go.
func (r rotation) safe(k *storage.DKIMKey) time.Time {
	switch {
	case k.State == dkim.Retired:
		return k.Retired
	case k.State == dkim.Retiring, k.State == dkim.Revoked:
		return k.Since().Add(dkim.Keep(r.life))
	}
	return time.Time{}
}

// stages are the keys of one algorithm as the rotation sees them, with their
// places among all.
func (r rotation) stages(keys []storage.DKIMKey, a dkim.Algorithm, seen map[uuid.UUID]dkim.Sighting) (stages []dkim.Stage, places []int) {
	for i := range keys {
		k := &keys[i]
		if k.Algorithm == string(a) {
			stages = append(stages, dkim.Stage{State: k.State, Since: k.Since(), Stale: k.Stale, Seen: seen[k.ID]})
			places = append(places, i)
		}
	}
	return stages, places
}

// terms are those of one algorithm.
func (r rotation) terms(keys []storage.DKIMKey, a dkim.Algorithm) dkim.Terms {
	t := dkim.Terms{Every: r.every, Life: r.life, Alone: true}
	for i := range keys {
		if keys[i].State == dkim.Signing && keys[i].Algorithm != string(a) {
			t.Alone = false
		}
	}
	if _, err := r.selector(keys, a, time.Time{}); err == nil {
		return t
	}
	for i := range keys {
		if end := r.safe(&keys[i]); keys[i].Algorithm == string(a) && keys[i].State.Visible() && !end.IsZero() && (t.Free.IsZero() || end.Before(t.Free)) {
			t.Free = end
		}
	}
	return t
}

// selector is where the next key of an algorithm will be published. ErrState when
// all that may be used are needed.
func (r rotation) selector(keys []storage.DKIMKey, a dkim.Algorithm, now time.Time) (string, error) {
	var used, needed []string
	for i := range keys {
		if keys[i].Algorithm != string(a) {
			continue
		}
		used = append(used, keys[i].Selector)
		if keys[i].State.Visible() {
			needed = append(needed, keys[i].Selector)
		}
	}
	if r.domain.Names != storage.NamesCNAME {
		if len(needed) >= maxVisible {
			return "", fmt.Errorf("%w: %d %s keys of %s must still be published: wait until the first may be removed", ErrState, len(needed), a, r.domain.Name)
		}
		return dkim.NewSelector(a, now, used)
	}
	for _, fixed := range dkim.FixedSelectors(a) {
		if !slices.Contains(needed, fixed) {
			return fixed, nil
		}
	}
	return "", fmt.Errorf("%w: both selectors of %s for %s keys are needed: wait until the first may be removed", ErrState, r.domain.Name, a)
}

// KeyOrder is what a person asks when they order new keys.
type KeyOrder struct {
	Algorithms []dkim.Algorithm // none: both
	// Hasty does not wait until caches have forgotten that the record was not there.
	Hasty  bool
	Reason string
}

// RotateKeys makes the successors of a domain's signing keys, which sign as soon
// as their records are seen. One that is under way already goes on, in haste if that
// is asked. // CO-3
func (d *Directory) RotateKeys(ctx context.Context, actor audit.Actor, org uuid.UUID, name string, o KeyOrder) error {
	domain, err := d.Domain(ctx, org, name)
	if err != nil {
		return err
	}
	r, err := d.rotationOf(ctx, &domain)
	if err != nil {
		return err
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = algorithms
	}
	made := map[dkim.Algorithm]*dkim.Key{}
	for _, a := range o.Algorithms {
		if made[a], err = dkim.GenerateKey(a); err != nil {
			return fmt.Errorf("%w: %v", ErrInvalid, err)
		}
	}
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		keys, err := tx.DKIMKeys(domain.ID)
		if err != nil {
			return err
		}
		e := tx.Record(audit.Event{Verb: audit.DKIMRotate, Outcome: audit.OK, Org: org, Object: domain.ID, Personal: audit.Fields{audit.Text(audit.KeyDomain, domain.Name)}})
		if o.Reason != "" {
			e.Personal = append(e.Personal, audit.Text(audit.KeyNote, o.Reason))
		}
		for _, a := range o.Algorithms {
			e.Fields = append(e.Fields, audit.Word(audit.KeyAlgorithm, string(a)))
			if k := successor(keys, a); k == nil {
				if _, err := r.create(tx, keys, made[a], o.Hasty); err != nil {
					return err
				}
			} else if o.Hasty && !k.Hasty {
				k.Hasty, k.Stale = true, 0
				if err := tx.UpdateDKIMKey(e, k); err != nil {
					return err
				}
			}
		}
		return nil
	})
	d.keyWake.ring() // what follows takes its time, and is nobody's to wait for
	return err
}

// successor is the key of an algorithm that is on its way to sign.
func successor(keys []storage.DKIMKey, a dkim.Algorithm) *storage.DKIMKey {
	for i := len(keys) - 1; i >= 0; i-- {
		if k := &keys[i]; k.Algorithm == string(a) && (k.State == dkim.Prepared || k.State == dkim.Published) {
			return k
		}
	}
	return nil
}

// signs reports whether a key signs beside one, of the same algorithm or of any.
func signs(keys []storage.DKIMKey, beside *storage.DKIMKey, sameAlgorithm bool) bool {
	return slices.ContainsFunc(keys, func(k storage.DKIMKey) bool {
		return k.ID != beside.ID && k.State == dkim.Signing && (!sameAlgorithm || k.Algorithm == beside.Algorithm)
	})
}

// RetireKey ends a key before its time: one that signs does so no more, and its
// record stays while mail is under way; one that never signed, or whose time is
// over, is destroyed. ErrState for the last key that signs, and for one whose record
// must stay. // CO-3
func (d *Directory) RetireKey(ctx context.Context, actor audit.Actor, org uuid.UUID, name, selector string) error {
	return d.changeKey(ctx, actor, org, name, selector, func(tx *storage.Tx, r rotation, keys []storage.DKIMKey, k *storage.DKIMKey) error {
		switch safe := r.safe(k); {
		case k.State == dkim.Retired:
			return fmt.Errorf("%w: key %s is retired", ErrState, selector)
		case k.State == dkim.Signing && !signs(keys, k, false):
			return fmt.Errorf("%w: %s is the last key that signs for %s: make another one first (postern dkim rotate %s)", ErrState, selector, name, name)
		case k.State == dkim.Signing:
			return r.rest(tx, k)
		case !safe.IsZero() && tx.Now().Before(safe):
			return fmt.Errorf("%w: mail signed with %s may be under way until %s", ErrState, selector, instant(safe))
		}
		return r.retire(tx, k)
	})
}

// RevokeKey ends a key that somebody else may have. Its private key is destroyed,
// its record says that it is not to be believed (RFC 6376, section 3.6.1), and
// another key signs from now on: that of the other algorithm, which everybody can
// find, or, if there is none, the newest successor, seen or not. Mail under way that
// the key signed arrives as if nobody had. // CO-3
func (d *Directory) RevokeKey(ctx context.Context, actor audit.Actor, org uuid.UUID, name, selector, reason string) error {
	next := map[dkim.Algorithm]*dkim.Key{} // outside of the transaction: RSA takes its time
	for _, a := range algorithms {
		k, err := dkim.GenerateKey(a)
		if err != nil {
			return err
		}
		next[a] = k
	}
	return d.changeKey(ctx, actor, org, name, selector, func(tx *storage.Tx, r rotation, keys []storage.DKIMKey, k *storage.DKIMKey) error {
		if k.State == dkim.Revoked || k.State == dkim.Retired {
			return fmt.Errorf("%w: key %s is %s, and its private key destroyed", ErrState, selector, k.State)
		}
		a, was := dkim.Algorithm(k.Algorithm), k.State
		if err := r.revoke(tx, k, reason); err != nil || was == dkim.Retiring {
			return err
		}
		follower := successor(keys, a)
		if follower == nil && !signs(keys, k, true) {
			made, err := r.create(tx, keys, next[a], true)
			if err != nil {
				return err
			}
			follower = &made
		}
		if was != dkim.Signing || signs(keys, k, false) {
			return nil
		}
		return r.sign(tx, keys, follower)
	})
}

// changeKey finds a key by its selector and changes it, and then does what follows.
func (d *Directory) changeKey(ctx context.Context, actor audit.Actor, org uuid.UUID, name, selector string,
	change func(tx *storage.Tx, r rotation, keys []storage.DKIMKey, k *storage.DKIMKey) error) error {
	domain, err := d.Domain(ctx, org, name)
	if err != nil {
		return err
	}
	r, err := d.rotationOf(ctx, &domain)
	if err != nil {
		return err
	}
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		keys, err := tx.DKIMKeys(domain.ID)
		if err != nil {
			return err
		}
		for i := len(keys) - 1; i >= 0; i-- { // a fixed selector had other keys before
			if keys[i].Selector == selector {
				return change(tx, r, keys, &keys[i])
			}
		}
		return ErrNoSuchKey
	})
	d.keyWake.ring() // what follows takes its time, and is nobody's to wait for
	return err
}

// ErrNoSuchKey: a domain has no key with this selector.
var ErrNoSuchKey = fmt.Errorf("directory: no such key: %w", storage.ErrNotFound)
