package directory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/dkim"
	"postern/storage"
)

const (
	// maxSteps bounds one visit: both algorithms through all states.
	maxSteps = 16
	// visitEvery is how often keys are visited for which nothing is due: policy, or
	// who keeps the names, may have changed.
	visitEvery = 24 * time.Hour
	// afterFailure is when a visit that failed is made again.
	afterFailure = time.Minute
	// remindEvery is how often people are told again of a record to publish.
	remindEvery = 7 * 24 * time.Hour
	// visitsAtOnce bounds how many domains are looked up beside one another.
	visitsAtOnce = 8
	// sightTime bounds one look at the DNS.
	sightTime = 20 * time.Second
)

// visit is one look at the keys of a domain.
type visit struct {
	rotation
	dir   *Directory
	began time.Time // what was seen may be no younger
	seen  map[uuid.UUID]dkim.Sighting
}

// AdvanceKeys looks at the DNS for the keys of a domain that wait for their
// records, takes the steps that are due, and notes when to look again. Who does
// the same meanwhile goes first.
func (d *Directory) AdvanceKeys(ctx context.Context, org, domain uuid.UUID) error {
	known, err := d.store.Domain(ctx, org, domain)
	if err != nil {
		return err
	}
	v := visit{dir: d, began: d.now(), seen: map[uuid.UUID]dkim.Sighting{}}
	if v.rotation, err = d.rotationOf(ctx, &known); err != nil {
		return err
	}
	next := d.now().Add(visitEvery)
	for range maxSteps {
		at, stepped, err := v.step(ctx)
		if errors.Is(err, storage.ErrConflict) {
			at, err = d.now().Add(time.Second), nil
		}
		if err != nil {
			return err
		}
		if !stepped {
			if !at.IsZero() && at.Before(next) {
				next = at
			}
			break
		}
	}
	err = d.store.Upkeep(ctx, func(u *storage.Upkeep) error { return u.PostponeDKIM(domain, next) })
	d.keyWake.ring()
	return err
}

// step takes the first step that is due for a key of the domain, or says when to
// look again.
func (v *visit) step(ctx context.Context) (at time.Time, stepped bool, err error) {
	keys, err := v.dir.store.DKIMKeys(ctx, v.domain.ID)
	if err != nil {
		return at, false, err
	}
	v.look(ctx, keys)
	for _, a := range algorithms {
		stages, places := v.stages(keys, a, v.seen)
		if len(places) == 0 {
			continue // the domain has none of these, and nobody asked for one
		}
		now := v.dir.now()
		m := dkim.Next(now, stages, v.terms(keys, a))
		if m.Step != dkim.StepWait {
			return at, true, v.take(ctx, m, a, places)
		}
		if m.Awaits == dkim.AwaitRecord { // which may have come since it was looked for
			m.At = v.began.Add(m.At.Sub(now))
		}
		if !m.At.IsZero() && (at.IsZero() || m.At.Before(at)) {
			at = m.At
		}
	}
	return at, false, v.remindAll(ctx, keys)
}

// look asks the DNS, once in a visit, for what waits to be seen.
func (v *visit) look(ctx context.Context, keys []storage.DKIMKey) {
	if v.dir.keys.Sight == nil {
		return
	}
	for i := range keys {
		k := &keys[i]
		if _, done := v.seen[k.ID]; done || k.State != dkim.Prepared && k.State != dkim.Published {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, sightTime)
		sighting, keep := v.dir.keys.Sight(limited, v.domain, k.Selector, k.Record)
		cancel()
		v.seen[k.ID] = sighting
		if sighting == dkim.Absent {
			v.dir.absences.note(k.ID, keep)
		}
	}
}

// take carries a step out in a transaction of its own.
func (v *visit) take(ctx context.Context, m dkim.Move, a dkim.Algorithm, places []int) error {
	var made *dkim.Key
	if m.Step == dkim.StepPrepare {
		var err error
		if made, err = dkim.GenerateKey(a); err != nil { // outside of the transaction: RSA takes its time
			return err
		}
	}
	return v.dir.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		keys, err := tx.DKIMKeys(v.domain.ID)
		if err != nil {
			return err
		}
		if m.Step == dkim.StepPrepare {
			if successor(keys, a) != nil {
				return storage.ErrConflict // somebody was faster
			}
			_, err := v.create(tx, keys, made, false)
			return err
		}
		// What was decided must still be what follows from the keys as they are now.
		stages, again := v.stages(keys, a, v.seen)
		now := dkim.Next(tx.Now(), stages, v.terms(keys, a))
		if now.Step != m.Step || again[now.Key] != places[m.Key] { // keys are never removed: places stay
			return storage.ErrConflict
		}
		place := places[m.Key]
		return v.turnKey(tx, m.Step, keys, &keys[place])
	})
}

func (v *visit) turnKey(tx *storage.Tx, step dkim.Step, keys []storage.DKIMKey, k *storage.DKIMKey) error {
	switch step {
	case dkim.StepPublish:
		return v.publish(tx, k, v.dir.absences.of(k.ID))
	case dkim.StepWithdraw:
		return v.withdraw(tx, k)
	case dkim.StepSign:
		return v.sign(tx, keys, k)
	}
	return v.retire(tx, k)
}

// remindAll tells people again of records that they are to publish, now and then.
func (v *visit) remindAll(ctx context.Context, keys []storage.DKIMKey) error {
	for i := range keys {
		k := &keys[i]
		if k.State != dkim.Prepared || v.publishes(k.Selector, dkim.Algorithm(k.Algorithm)) || v.dir.now().Before(k.Reminded.Add(remindEvery)) {
			continue
		}
		err := v.dir.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
			k := *k
			return v.remind(tx, &k)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// turnKeys visits the keys that are due, until the context is done.
func (d *Directory) turnKeys(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for next := d.now(); ; {
		if !d.now().Before(next) {
			next = d.visitDue(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-d.keyWake:
			next = d.now()
		case <-tick.C:
		}
	}
}

// visitDue visits what is due, and says when something is next.
func (d *Directory) visitDue(ctx context.Context) time.Time {
	for ctx.Err() == nil {
		due, err := d.store.DueDKIM(ctx, visitsAtOnce)
		if err == nil && len(due) == 0 {
			break
		}
		if err == nil {
			err = d.visitAll(ctx, due)
		}
		if err != nil {
			if ctx.Err() == nil {
				d.log.Error("signing keys could not be looked at; it is tried again", "error", err)
			}
			return d.now().Add(afterFailure)
		}
	}
	next, err := d.store.NextDKIMDue(ctx)
	if latest := d.now().Add(time.Hour); err != nil || next.IsZero() || next.After(latest) {
		return latest
	}
	return next
}

// visitAll visits some domains beside one another. One that fails waits; the error
// is that of putting it off.
func (d *Directory) visitAll(ctx context.Context, due []storage.DueDKIM) error {
	failures := make([]error, len(due))
	var all sync.WaitGroup
	for i, one := range due {
		all.Go(func() {
			err := d.AdvanceKeys(ctx, one.Org, one.Domain)
			if err == nil || ctx.Err() != nil {
				return
			}
			d.log.Error("the signing keys of a domain could not be looked at; it is tried again", "domain", one.Domain, "error", err)
			failures[i] = d.store.Upkeep(ctx, func(u *storage.Upkeep) error {
				return u.PostponeDKIM(one.Domain, u.Now().Add(afterFailure))
			})
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

// absences remember how long others may keep that a record is not there.
type absences struct {
	mu   sync.Mutex
	last map[uuid.UUID]time.Duration
}

// maxAbsences bounds what is remembered; what is forgotten is taken for the usual.
const maxAbsences = 10_000

func (a *absences) note(key uuid.UUID, keep time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last == nil || len(a.last) >= maxAbsences {
		a.last = map[uuid.UUID]time.Duration{}
	}
	a.last[key] = max(a.last[key], min(keep, dkim.MaxSettle))
}

// of is how long to wait once the record of a key is seen.
func (a *absences) of(key uuid.UUID) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if keep, ok := a.last[key]; ok && keep > 0 {
		return keep
	}
	return dkim.Settle
}

// wake is rung when there may be something to do earlier than was thought.
type wake chan struct{}

func (w wake) ring() {
	select {
	case w <- struct{}{}:
	default:
	}
}
