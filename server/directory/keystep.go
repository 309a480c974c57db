package directory

import (
	"fmt"
	"time"

	"postern/dkim"
	"postern/storage"
	"postern/storage/audit"
)

// The steps of a rotation, each with its event, in the transaction of whoever
// takes it. // AU-11, CO-3

// recordTTL is how long people let others keep a key's record.
const recordTTL = time.Hour

// create adds a key that is prepared to sign. Where people publish it, they are told.
func (r rotation) create(tx *storage.Tx, keys []storage.DKIMKey, made *dkim.Key, hasty bool) (storage.DKIMKey, error) {
	selector, err := r.selector(keys, made.Algorithm(), tx.Now())
	if err != nil {
		return storage.DKIMKey{}, err
	}
	k := r.newKey(selector, made, dkim.Prepared)
	k.Hasty = hasty
	byHand := !r.publishes(selector, made.Algorithm())
	if byHand {
		k.Reminded = tx.Now()
	}
	if err := r.add(tx, &k); err != nil || !byHand {
		return k, err
	}
	return k, r.askFor(tx, &k)
}

func (r rotation) newKey(selector string, made *dkim.Key, state dkim.State) storage.DKIMKey {
	return storage.DKIMKey{Head: storage.Head{Org: r.domain.Org}, Domain: r.domain.ID, Private: made.PKCS8(), Record: made.Record(),
		Algorithm: string(made.Algorithm()), Selector: selector, State: state}
}

// add writes a new key. The event has the record to publish.
func (r rotation) add(tx *storage.Tx, k *storage.DKIMKey) error {
	e := r.record(tx, audit.DKIMCreate, k, "", dkim.RecordName(k.Selector, r.domain.Name)+" "+k.Record)
	return tx.CreateDKIMKey(e, k, tx.Now())
}

// record makes the event of a change.
func (r rotation) record(tx *storage.Tx, verb audit.Verb, k *storage.DKIMKey, before, after string) *audit.Event {
	e := tx.Record(audit.Event{Verb: verb, Outcome: audit.OK, Org: k.Org, Object: k.Domain,
		Fields:   audit.Fields{audit.Word(audit.KeySelector, k.Selector), audit.Word(audit.KeyAlgorithm, k.Algorithm), audit.Word(audit.KeyState, string(k.State))},
		Personal: audit.Fields{audit.Text(audit.KeyDomain, r.domain.Name)}})
	if safe := r.safe(k); !safe.IsZero() && k.State != dkim.Retired {
		e.Fields = append(e.Fields, audit.Time(audit.KeySafeAfter, safe))
	}
	if before != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyBefore, before))
	}
	e.Personal = append(e.Personal, audit.Text(audit.KeyAfter, after))
	return e
}

// turn writes a key that comes into another state.
func (r rotation) turn(tx *storage.Tx, verb audit.Verb, k *storage.DKIMKey, to dkim.State) error {
	before := k.State
	k.State = to
	return tx.UpdateDKIMKey(r.record(tx, verb, k, string(before), string(to)), k)
}

// publish notes that the record was seen.
func (r rotation) publish(tx *storage.Tx, k *storage.DKIMKey, stale time.Duration) error {
	k.Published, k.Stale = tx.Now(), stale
	if k.Hasty {
		k.Stale = 0
	}
	return r.turn(tx, audit.DKIMPublish, k, dkim.Published)
}

// withdraw notes that a record which was seen is gone again.
func (r rotation) withdraw(tx *storage.Tx, k *storage.DKIMKey) error {
	k.Published, k.Stale, k.State = time.Time{}, 0, dkim.Prepared
	e := r.record(tx, audit.DKIMPublish, k, string(dkim.Published), string(dkim.Prepared))
	e.Outcome = audit.Failed
	return tx.UpdateDKIMKey(e, k)
}

// sign has a key sign, instead of those of its algorithm that did.
func (r rotation) sign(tx *storage.Tx, keys []storage.DKIMKey, k *storage.DKIMKey) error {
	k.Signing = tx.Now()
	if err := r.turn(tx, audit.DKIMSign, k, dkim.Signing); err != nil {
		return err
	}
	for i := range keys {
		if old := &keys[i]; old.ID != k.ID && old.State == dkim.Signing && old.Algorithm == k.Algorithm {
			if err := r.rest(tx, old); err != nil {
				return err
			}
		}
	}
	return nil
}

// rest has a key sign no more.
func (r rotation) rest(tx *storage.Tx, k *storage.DKIMKey) error {
	k.Retiring = tx.Now()
	return r.turn(tx, audit.DKIMRetire, k, dkim.Retiring)
}

// retire destroys the private key. The record of a key that was revoked said so
// for long enough.
func (r rotation) retire(tx *storage.Tx, k *storage.DKIMKey) error {
	k.Retired, k.Private = tx.Now(), nil
	return r.turn(tx, audit.DKIMRetire, k, dkim.Retired)
}

// revoke destroys the private key at once, and has the record say that the key is
// not to be believed. Where people publish it, they are told.
func (r rotation) revoke(tx *storage.Tx, k *storage.DKIMKey, reason string) error {
	before := string(k.State) + " " + k.Record
	k.Revoked, k.Private, k.State = tx.Now(), nil, dkim.Revoked
	k.Record = dkim.RevokedRecord(dkim.Algorithm(k.Algorithm))
	e := r.record(tx, audit.DKIMRevoke, k, before, string(k.State)+" "+k.Record)
	if reason != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyNote, reason))
	}
	if err := tx.UpdateDKIMKey(e, k); err != nil || r.publishes(k.Selector, dkim.Algorithm(k.Algorithm)) {
		return err
	}
	return r.askFor(tx, k)
}

// remind says again that a record is awaited.
func (r rotation) remind(tx *storage.Tx, k *storage.DKIMKey) error {
	k.Reminded = tx.Now()
	e := r.record(tx, audit.DKIMPublish, k, string(k.State), string(k.State))
	e.Outcome = audit.Failed
	if err := tx.UpdateDKIMKey(e, k); err != nil {
		return err
	}
	return r.askFor(tx, k)
}

// askFor tells people which record to publish.
func (r rotation) askFor(tx *storage.Tx, k *storage.DKIMKey) error {
	why := "until it is seen, the key before it signs"
	if k.State == dkim.Revoked {
		why = "until then others believe who has the key that was revoked"
	}
	return tx.RaiseAlert(storage.Alert{Head: storage.Head{Org: k.Org}, Kind: storage.AlertDKIMRecordDue, Object: k.ID,
		Detail: fmt.Sprintf("Publish this record, %s: %s. %d IN TXT \"%s\"", why, dkim.RecordName(k.Selector, r.domain.Name), recordTTL/time.Second, k.Record)})
}
