package directory

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// Bounds of what is kept in memory until the next Flush.
const (
	maxRefusals = 1024 // kinds of refusals; beyond, networks are no longer told apart
	maxEnds     = 4096 // ends of sessions; beyond, End writes by itself
	endsBatch   = 256  // ends that share a transaction
)

// pending is what waits to be written together.
type pending struct {
	wake chan struct{} // asks Run to flush before its time

	mu       sync.Mutex
	refusals map[refusalKind]*refusals
	ends     []sessionEnd
	used     map[uuid.UUID]time.Time

	writing sync.Mutex // one Flush at a time
}

// refusalKind is what refusals of strangers are aggregated by.
type refusalKind struct {
	network       netip.Prefix
	command, rule string
}

type refusals struct {
	count       int64
	first, last time.Time
}

type sessionEnd struct {
	p     *Principal
	cause string
	at    time.Time
}

func newPending() *pending {
	return &pending{wake: make(chan struct{}, 1), refusals: map[refusalKind]*refusals{}, used: map[uuid.UUID]time.Time{}}
}

// Refuse counts a refusal of a stranger: by network, command and rule, words of
// Postern's own. It costs memory for a bounded number of kinds and no write, so
// that nobody fills the log from outside. // AU-13
func (d *Directory) Refuse(peer netip.Addr, command, rule string) {
	p, now := d.pending, d.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	kind := refusalKind{network(peer), command, rule}
	r := p.refusals[kind]
	if r == nil && len(p.refusals) >= maxRefusals {
		kind.network = netip.Prefix{}
		r = p.refusals[kind]
	}
	if r == nil {
		r = &refusals{first: now}
		p.refusals[kind] = r
	}
	r.count++
	r.last = now
}

// End records that a session is over: cause is a word such as "logout",
// "closed", "idle", "revoked". It returns at once unless very many sessions
// end together. Call it once for each principal.
func (d *Directory) End(p *Principal, cause string) {
	d.registry.leave(p.Session)
	q := d.pending
	q.mu.Lock()
	q.ends = append(q.ends, sessionEnd{p, cause, d.now()})
	full := len(q.ends) >= maxEnds
	q.mu.Unlock()
	if full {
		d.flush(context.Background())
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// touch notes that a credential was used.
func (p *pending) touch(credential uuid.UUID, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used[credential] = at
}

// Flush writes what waits. What could not be written is kept for the next time.
func (d *Directory) Flush(ctx context.Context) error {
	d.pending.writing.Lock()
	defer d.pending.writing.Unlock()
	if err := d.flushEnds(ctx); err != nil {
		return err
	}
	if err := d.flushRefusals(ctx); err != nil {
		return err
	}
	return d.flushUsed(ctx)
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
		err := d.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
			for _, s := range batch {
				s.record(tx)
			}
			return nil
		})
		if err != nil {
			return err
		}
		q.mu.Lock()
		q.ends = q.ends[n:]
		if len(q.ends) == 0 {
			q.ends = nil // gives the array back after a burst
		}
		q.mu.Unlock()
	}
}

func (s sessionEnd) record(tx *storage.Tx) {
	e := tx.Record(audit.Event{
		Verb: audit.SessionEnd, Outcome: audit.OK,
		Org: s.p.Credential.Org, Agent: s.p.Agent.ID, Credential: s.p.Credential.ID, Inbox: s.p.Inbox.ID(),
		Fields: audit.Fields{
			audit.Word(audit.KeyDoor, s.p.Door), audit.Word(audit.KeyRule, s.cause),
			audit.Int(audit.KeyMillis, s.at.Sub(s.p.Since).Milliseconds()),
			audit.Int(audit.KeyCount, s.p.Count.Load()), audit.Time(audit.KeyLast, s.at),
		},
	})
	e.Actor = s.p.Actor()
}

func (d *Directory) flushRefusals(ctx context.Context) error {
	q := d.pending
	q.mu.Lock()
	batch := q.refusals
	q.refusals = map[refusalKind]*refusals{}
	q.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	err := d.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		for kind, r := range batch {
			e := tx.Record(audit.Event{Verb: audit.StrangersRefused, Outcome: audit.Refused, Fields: audit.Fields{
				audit.Word(audit.KeyCommand, kind.command), audit.Word(audit.KeyRule, kind.rule),
				audit.Int(audit.KeyCount, r.count), audit.Time(audit.KeyFirst, r.first), audit.Time(audit.KeyLast, r.last),
			}})
			e.Actor.Kind = audit.Stranger
			if kind.network.IsValid() {
				e.Personal = audit.Fields{audit.Text(audit.KeyNetwork, kind.network.String())}
			}
		}
		return nil
	})
	if err != nil {
		q.putBack(batch)
	}
	return err
}

// putBack keeps refusals that could not be written.
func (p *pending) putBack(batch map[refusalKind]*refusals) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for kind, old := range batch {
		if r := p.refusals[kind]; r != nil {
			r.count += old.count
			r.first = old.first
			continue
		}
		p.refusals[kind] = old
	}
}

func (d *Directory) flushUsed(ctx context.Context) error {
	q := d.pending
	q.mu.Lock()
	batch := q.used
	q.used = map[uuid.UUID]time.Time{}
	q.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	return d.store.Upkeep(ctx, func(u *storage.Upkeep) error {
		for id, at := range batch {
			if err := u.Used(id, at); err != nil {
				return err
			}
		}
		return nil
	})
}
