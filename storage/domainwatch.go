package storage

import (
	"sync"

	"github.com/google/uuid"
)

// DomainRef names a domain whose published names may be others than before. A zero
// Domain stands for all domains of the organization.
type DomainRef struct{ Org, Domain uuid.UUID }

// DomainWatch collects which domains changed, or their keys, or what policy says of
// them: what a name server tells the world. Like a hint for a mailbox it comes
// after the commit and never blocks the writer.
type DomainWatch struct {
	store   *Store
	hint    chan struct{}
	mu      sync.Mutex
	changed map[DomainRef]struct{}
}

// WatchDomains begins to collect. Call Stop when done.
func (s *Store) WatchDomains() *DomainWatch {
	w := &DomainWatch{store: s, hint: make(chan struct{}, 1), changed: map[DomainRef]struct{}{}}
	s.domains.mu.Lock()
	defer s.domains.mu.Unlock()
	if s.domains.watches == nil {
		s.domains.watches = map[*DomainWatch]struct{}{}
	}
	s.domains.watches[w] = struct{}{}
	return w
}

// Hint receives when there is something to take. It is not closed.
func (w *DomainWatch) Hint() <-chan struct{} { return w.hint }

// Take returns what changed since the last call, in no order.
func (w *DomainWatch) Take() []DomainRef {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]DomainRef, 0, len(w.changed))
	for ref := range w.changed {
		all = append(all, ref)
	}
	clear(w.changed)
	return all
}

// Stop ends collecting.
func (w *DomainWatch) Stop() {
	w.store.domains.mu.Lock()
	defer w.store.domains.mu.Unlock()
	delete(w.store.domains.watches, w)
}

func (w *DomainWatch) note(ref DomainRef) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed[ref] = struct{}{}
	select {
	case w.hint <- struct{}{}:
	default: // there is one already
	}
}

// domainFeed is who watches.
type domainFeed struct {
	mu      sync.Mutex
	watches map[*DomainWatch]struct{}
}

func (f *domainFeed) note(ref DomainRef) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watches {
		w.note(ref)
	}
}

// published is a record from which follows what a domain publishes.
type published interface {
	record
	domainRef() (ref DomainRef, ok bool)
}

func (d *Domain) domainRef() (DomainRef, bool) { return DomainRef{d.Org, d.ID}, true }

// A key that is deleted goes with its domain, which says so itself.
func (k *DKIMKey) domainRef() (DomainRef, bool) {
	return DomainRef{k.Org, k.Domain}, k.Domain != uuid.Nil
}

func (p *Policy) domainRef() (DomainRef, bool) {
	if p.Level == LevelOrganization {
		return DomainRef{Org: p.Org}, true
	}
	return DomainRef{p.Org, p.Target}, p.Level == LevelDomain
}

// publishes tells those who watch, once the transaction is committed, that a record
// was written or deleted.
func (tx *Tx) publishes(rec record) {
	p, ok := rec.(published)
	if !ok {
		return
	}
	if ref, ok := p.domainRef(); ok {
		f := &tx.store().domains
		tx.afterCommit(func() { f.note(ref) })
	}
}
