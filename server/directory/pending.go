package directory

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"postern/storage"
	"postern/storage/audit"
)

// Bounds of what is kept in memory until the next Flush.
const (
	maxEnds   = 4096 // ends of sessions; beyond, End writes by itself
	endsBatch = 256  // ends that share a transaction
)

// pending is what waits to be written together.
type pending struct {
	wake     chan struct{} // asks Run to flush before its time
	refusals audit.Refusals
	used     lastUse // of credentials

	mu   sync.Mutex
	ends []sessionEnd
	over []audit.Event // ends of credentials that had sessions

	writing sync.Mutex // one Flush at a time
}

type sessionEnd struct {
	p     *Principal
	cause string
	at    time.Time
}

func newPending() *pending {
	return &pending{wake: make(chan struct{}, 1)}
}

// Refuse counts a refusal of a stranger: by network, command and rule, words of
// Postern's own. It costs memory for a bounded number of kinds and no write, so
// that nobody fills the log from outside. // AU-13
func (d *Directory) Refuse(peer netip.Addr, command, rule string) {
	d.pending.refusals.Add(d.now(), peer, command, rule)
}

// End records that a session is over: cause is a word such as "logout",
// "closed", "idle", "revoked". It returns at once unless very many sessions
// end together. Call it once for each principal.
func (d *Directory) End(p *Principal, cause string) {
	d.registry.leave(p.Session)
	q := d.pending
	q.mu.Lock()
	q.ends = append(q.ends, sessionEnd{p, cause, d.now()})
	n := len(q.ends)
	q.mu.Unlock()
	switch {
	case n >= maxEnds:
		d.tryFlush(context.Background(), d.now())
	case n >= endsBatch:
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// overtaken notes, when the sessions of a credential whose time was over have let
// go, how many there were and how long it took. // AC-9
func (p *pending) overtaken(cut *Cut, at time.Time) {
	who, rule := cut.victims[0].principal, cut.victims[0].reason
	e := audit.Event{
		Verb: audit.CredentialEnd, Outcome: audit.OK, Actor: storage.System,
		Org: who.Credential.Org, Agent: who.Agent.ID, Credential: who.Credential.ID, Object: who.Credential.ID,
		Fields: append(audit.Fields{audit.Word(audit.KeyRule, rule), audit.Time(audit.KeyLast, at)}, cut.wait().fields()...),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = append(p.over, e)
}

// flushOver writes the ends of credentials.
func (d *Directory) flushOver(ctx context.Context) error {
	q := d.pending
	q.mu.Lock()
	batch := q.over
	q.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	if err := d.record(ctx, batch); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = q.over[len(batch):]
	return nil
}

// lastUsed brings the last use of credentials up to what is not yet written.
func (p *pending) lastUsed(all []storage.Credential) {
	for i := range all {
		if at := p.used.of(all[i].ID); at.After(all[i].LastUsed) {
			all[i].LastUsed = at
		}
	}
}

// Flush writes all that waits. What could not be written is kept for the next
// time.
func (d *Directory) Flush(ctx context.Context) error { return d.flush(ctx, time.Time{}) }

// flush is Flush at a time: refusals are written at most every
// audit.RefusalsEvery, the rest always.
func (d *Directory) flush(ctx context.Context, now time.Time) error {
	d.pending.writing.Lock()
	defer d.pending.writing.Unlock()
	if err := d.flushOver(ctx); err != nil {
		return err
	}
	if err := d.flushEnds(ctx); err != nil {
		return err
	}
	if err := d.pending.refusals.Flush(now, func(events []audit.Event) error { return d.record(ctx, events) }); err != nil {
		return err
	}
	if err := d.personUse.flush(ctx, d.store, (*storage.Upkeep).SessionUsed); err != nil {
		return err
	}
	return d.pending.used.flush(ctx, d.store, (*storage.Upkeep).Used)
}

// record writes events that name their own actor.
func (d *Directory) record(ctx context.Context, events []audit.Event) error {
	return d.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		for _, e := range events {
			tx.Record(e).Actor = e.Actor
		}
		return nil
	})
}

func (d *Directory) flushEnds(ctx context.Context) error {
	q := d.pending
	for {
		q.mu.Lock()
		n := min(len(q.ends), endsBatch)
		batch := q.ends[:n:n]
		q.mu.Unlock()
		if n == 0 {
			return nil
		}
		events := make([]audit.Event, n)
		for i, s := range batch {
			events[i] = s.event()
		}
		if err := d.record(ctx, events); err != nil {
			return err
		}
		q.mu.Lock()
		q.ends = q.ends[n:]
		if len(q.ends) == 0 {
			q.ends = nil // gives the array back after a burst
		}
		q.mu.Unlock()
		if n < endsBatch {
			return nil // who ended meanwhile waits for the next time
		}
	}
}

func (s sessionEnd) event() audit.Event {
	return audit.Event{
		Verb: audit.SessionEnd, Outcome: audit.OK, Actor: s.p.Actor(),
		Org: s.p.Credential.Org, Agent: s.p.Agent.ID, Credential: s.p.Credential.ID, Inbox: s.p.Inbox.ID(),
		Fields: audit.Fields{
			audit.Word(audit.KeyDoor, s.p.Door), audit.Word(audit.KeyRule, s.cause),
			audit.Int(audit.KeyMillis, s.at.Sub(s.p.Since).Milliseconds()),
			audit.Int(audit.KeyCount, s.p.Count.Load()), audit.Time(audit.KeyLast, s.at),
		},
	}
}
