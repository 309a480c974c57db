package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// When policies are fetched. RFC 8461, section 3.3: not again for five minutes
// after a failure, and once a day while they are in use; section 10.2 asks that
// one is fetched well before it expires, so that who keeps us from it gains nothing.
const (
	fetchPause   = 5 * time.Minute
	renewEvery   = 24 * time.Hour
	renewPause   = time.Hour           // after a renewal that failed
	noneKept     = time.Hour           // that a domain withdrew its policy
	unusedAfter  = 30 * 24 * time.Hour // a policy by which no mail goes is let expire
	renewAtOnce  = 100                 // policies in one look
	renewalLooks = 10 * time.Minute    // between looks for policies that are due
	maxTries     = 4096                // fetches that are remembered
	usedEvery    = 24 * time.Hour      // how exactly it is kept when a policy was used
	fetchWaiting = 90 * time.Second    // for somebody else's fetch of the same policy
)

// sts is what MTA-STS says about a destination.
type sts struct {
	policy  stsPolicy
	known   bool   // there is a policy, which has not expired
	failure string // why a policy, or a newer one, could not be had; empty: nothing is wrong
}

// lines is the policy for reports; nil when none is known.
func (s sts) lines() []string {
	if !s.known {
		return nil
	}
	return s.policy.lines()
}

// sts finds the policy of a domain, for mail of an organization: the one that is
// kept, unless the domain's TXT record has another id. A domain whose record or
// policy cannot be had has the policy that is kept, until that expires; so a
// forger who suppresses either gains nothing (RFC 8461, section 5.1).
func (r *Relay) sts(ctx context.Context, org uuid.UUID, domain string) (sts, *fault) {
	if _, address := literal(domain); r.config.Store == nil || r.config.SmartHost != nil || address || org == uuid.Nil {
		return sts{}, nil
	}
	kept, f := r.kept(ctx, org, domain)
	if f != nil {
		return sts{}, f
	}
	id := r.stsID(ctx, domain)
	if ctx.Err() != nil {
		return sts{}, faultOf(ctx, ctx.Err())
	}
	if id == "" || r.current(&kept) && kept.RecordID == id {
		return r.use(ctx, &kept), nil
	}
	release, ok := r.fetching.acquire(ctx, org.String()+domain, fetchWaiting)
	switch {
	case ctx.Err() != nil:
		return sts{}, faultOf(ctx, ctx.Err())
	case !ok:
		return sts{}, temporary(Busy, "4.4.5")
	}
	defer release()
	if kept, f = r.kept(ctx, org, domain); f != nil { // another attempt may have fetched it
		return sts{}, f
	}
	if r.current(&kept) && kept.RecordID == id {
		return r.use(ctx, &kept), nil
	}
	return r.learn(ctx, &kept, org, domain, id), nil
}

// kept reads the policy that is kept, perhaps one that has expired; it has no ID
// when there is none. One that cannot be read holds the mail back: it could have
// forbidden it. // fail closed
func (r *Relay) kept(ctx context.Context, org uuid.UUID, domain string) (storage.STSPolicy, *fault) {
	kept, err := r.config.Store.STSPolicy(ctx, org, domain)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		if ctx.Err() != nil {
			return kept, faultOf(ctx, ctx.Err())
		}
		r.config.Log.Error("the policy of a destination cannot be read, and its mail waits", "error", err)
		return kept, temporary(LocalFailure, "4.3.0")
	}
	return kept, nil
}

// current reports whether a policy that is kept still holds.
func (r *Relay) current(kept *storage.STSPolicy) bool {
	return kept.ID != uuid.Nil && r.config.Now().Before(kept.Expires)
}

// use is what a policy that is kept says, if it still holds.
func (r *Relay) use(ctx context.Context, kept *storage.STSPolicy) sts {
	if !r.current(kept) {
		return sts{}
	}
	p, err := parseSTS(kept.Text)
	if err != nil { // it was parsed when it was put there
		r.config.Log.Error("a policy of MTA-STS that was kept makes no sense", "policy", kept.ID, "error", err)
		return sts{failure: failSTSPolicy}
	}
	if r.config.Now().Sub(kept.Used) >= usedEvery {
		r.upkeep(ctx, func(u *storage.Upkeep) error { return u.UseSTSPolicy(kept.ID) })
	}
	return sts{policy: p, known: true}
}

// stsID is the id of a domain's policy; empty: it has none, or nobody can say.
func (r *Relay) stsID(ctx context.Context, domain string) string {
	txt, err := r.config.Resolver.LookupTXT(ctx, "_mta-sts."+domain)
	if err != nil {
		return ""
	}
	id, err := parseSTSRecord(txt.Records)
	if err != nil {
		return ""
	}
	return id
}

// learn fetches a policy that is new, unless that failed a moment ago, and keeps
// it.
func (r *Relay) learn(ctx context.Context, kept *storage.STSPolicy, org uuid.UUID, domain, id string) sts {
	key := stsKey{org, domain, id}
	if failure, ok := r.fetched.get(key, r.config.Now()); ok {
		s := r.use(ctx, kept)
		s.failure = failure
		return s
	}
	p, text, err := r.fetchSTS(ctx, domain)
	switch {
	case ctx.Err() != nil:
		return sts{failure: failSTSFetch}
	case err != nil:
		failure := fetchFailure(err)
		r.fetched.put(key, failure, r.config.Now().Add(fetchPause))
		s := r.use(ctx, kept)
		s.failure = failure
		return s
	case p.mode == modeNone:
		r.fetched.put(key, "", r.config.Now().Add(min(p.maxAge, noneKept)))
		r.drop(ctx, kept, "withdrawn")
		return sts{}
	}
	r.keep(ctx, kept, stsKey{org, domain, id}, p, text)
	return sts{policy: p, known: true}
}

// keep writes a policy that was fetched. If that fails, this attempt goes by it
// all the same, and the next one fetches it again.
func (r *Relay) keep(ctx context.Context, kept *storage.STSPolicy, of stsKey, p stsPolicy, text string) {
	before := kept.Text
	row := *kept
	row.Org, row.Domain, row.RecordID, row.Text = of.org, of.domain, of.id, text
	row.Fetched = r.config.Now()
	row.Expires = row.Fetched.Add(p.maxAge)
	row.Due = row.Fetched.Add(min(renewEvery, p.maxAge/2))
	r.write(ctx, func(tx *storage.Tx) error {
		again := row // this may run twice
		e := tx.Record(audit.Event{Verb: audit.STSPolicySet, Outcome: audit.OK, Fields: audit.Fields{
			audit.Word(audit.KeyMode, p.mode), audit.Int(audit.KeyMaxAge, int64(p.maxAge/time.Second)), audit.Time(audit.KeyExpires, row.Expires)}})
		if before != "" && before != text {
			e.Personal = append(e.Personal, audit.Text(audit.KeyBefore, before))
		}
		if before != text {
			e.Personal = append(e.Personal, audit.Text(audit.KeyAfter, text))
		}
		return tx.PutSTSPolicy(e, &again)
	})
}

// drop ends a policy that is kept.
func (r *Relay) drop(ctx context.Context, kept *storage.STSPolicy, rule string) {
	if kept.ID == uuid.Nil {
		return
	}
	r.write(ctx, func(tx *storage.Tx) error {
		again := *kept
		e := tx.Record(audit.Event{Verb: audit.STSPolicyDrop, Outcome: audit.OK, Fields: audit.Fields{audit.Word(audit.KeyRule, rule)}})
		return tx.DropSTSPolicy(e, &again)
	})
}

func (r *Relay) write(ctx context.Context, fn func(*storage.Tx) error) {
	if err := r.config.Store.Write(ctx, storage.System, fn); err != nil && ctx.Err() == nil {
		r.config.Log.Error("a policy of MTA-STS could not be recorded", "error", err)
	}
}

func (r *Relay) upkeep(ctx context.Context, fn func(*storage.Upkeep) error) {
	if err := r.config.Store.Upkeep(ctx, fn); err != nil && ctx.Err() == nil {
		r.config.Log.Error("the use of a policy of MTA-STS could not be noted", "error", err)
	}
}

// RunPolicies fetches the policies that are in use again before they expire, until
// the context is done.
func (r *Relay) RunPolicies(ctx context.Context) {
	tick := time.NewTicker(renewalLooks)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := r.RenewPolicies(ctx); err != nil && ctx.Err() == nil {
			r.config.Log.Error("policies of MTA-STS that are due cannot be read", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// RenewPolicies looks once at the policies that are due.
func (r *Relay) RenewPolicies(ctx context.Context) error {
	if r.config.Store == nil {
		return nil
	}
	due, err := r.config.Store.DueSTSPolicies(ctx, r.config.Now(), renewAtOnce)
	for i := range due {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.renew(ctx, &due[i])
	}
	return err
}

// renew fetches one policy again, under the id that its record has now.
func (r *Relay) renew(ctx context.Context, kept *storage.STSPolicy) {
	now := r.config.Now()
	switch {
	case !now.Before(kept.Expires):
		r.drop(ctx, kept, "expired")
		return
	case now.Sub(kept.Used) > unusedAfter:
		r.upkeep(ctx, func(u *storage.Upkeep) error { return u.DelaySTSPolicy(kept.ID, kept.Expires) })
		return
	}
	release, ok := r.fetching.acquire(ctx, kept.Org.String()+kept.Domain, fetchWaiting)
	if !ok {
		return
	}
	defer release()
	id := r.stsID(ctx, kept.Domain)
	if id == "" {
		id = kept.RecordID
	}
	p, text, err := r.fetchSTS(ctx, kept.Domain)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.upkeep(ctx, func(u *storage.Upkeep) error { return u.DelaySTSPolicy(kept.ID, now.Add(renewPause)) })
	case p.mode == modeNone:
		r.drop(ctx, kept, "withdrawn")
	default:
		r.keep(ctx, kept, stsKey{kept.Org, kept.Domain, id}, p, text)
	}
}

// stsKey is one version of one domain's policy, as one organization asks for it.
type stsKey struct {
	org        uuid.UUID
	domain, id string
}

// stsTries remembers for a while which versions could not be fetched, and why, and
// which say that there is no policy. It is lost at restart, which costs a fetch.
type stsTries struct {
	mu sync.Mutex
	m  map[stsKey]stsTry
}

type stsTry struct {
	failure string // empty: the domain has withdrawn its policy
	until   time.Time
}

func (t *stsTries) get(k stsKey, now time.Time) (failure string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x, ok := t.m[k]
	return x.failure, ok && now.Before(x.until)
}

func (t *stsTries) put(k stsKey, failure string, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = make(map[stsKey]stsTry)
	}
	if _, known := t.m[k]; !known && len(t.m) >= maxTries {
		for old := range t.m { // any: the price is one more fetch
			delete(t.m, old)
			break
		}
	}
	t.m[k] = stsTry{failure, until}
}

func (t *stsTries) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.m)
}
