package directory

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// What holds for a credential where policy says nothing else. // AC-7, AC-11
const (
	DefaultMaxAge        = 90 * 24 * time.Hour
	DefaultWarning       = 14 * 24 * time.Hour
	DefaultSessions      = 50
	DefaultSessionLength = 24 * time.Hour
)

// Terms are what policy says of a credential on one of its inboxes. A field that
// is zero stands for its default.
type Terms struct {
	MaxAge        time.Duration // from its creation to its last login; a waiver goes beyond // AC-7
	Warning       time.Duration // how long before its end somebody is told
	Sessions      int           // at a time // AC-11
	SessionLength time.Duration // AC-11
	SafeView      bool          // it must have the safe view // CO-6
}

var defaultTerms = Terms{DefaultMaxAge, DefaultWarning, DefaultSessions, DefaultSessionLength, false}

// orDefaults fills in what is zero.
func (t Terms) orDefaults() Terms {
	if t.MaxAge <= 0 {
		t.MaxAge = DefaultMaxAge
	}
	if t.Warning <= 0 {
		t.Warning = DefaultWarning
	}
	if t.Sessions <= 0 {
		t.Sessions = DefaultSessions
	}
	if t.SessionLength <= 0 {
		t.SessionLength = DefaultSessionLength
	}
	return t
}

// strictest is what holds when both do.
func (t Terms) strictest(o Terms) Terms {
	return Terms{min(t.MaxAge, o.MaxAge), max(t.Warning, o.Warning), min(t.Sessions, o.Sessions), min(t.SessionLength, o.SessionLength), t.SafeView || o.SafeView}
}

// End is when a credential stops to let anybody in, if nobody revokes it: at its
// own end, or when it is older than policy allows and nobody waived that. // AC-7
func (t Terms) End(c *storage.Credential) time.Time {
	if oldest := c.Created.Add(t.MaxAge); c.Waiver == nil && oldest.Before(c.Expires) {
		return oldest
	}
	return c.Expires
}

// The rules by which the time of a credential is over.
const (
	ruleRotated = "rotated"
	ruleExpired = "expired"
	ruleAge     = "over-age" // policy allows less since
	ruleView    = "view"     // policy demands the safe view since // CO-6
)

// lapse names why the time of a credential is over; empty while it is not. The
// event tells a predecessor after its overlap from a credential that nobody
// replaced; the peer hears of one class. // AC-7, AC-8
func (t Terms) lapse(c *storage.Credential, now time.Time) string {
	switch {
	case !now.Before(c.Expires) && c.Successor != zeroID:
		return ruleRotated
	case !now.Before(c.Expires):
		return ruleExpired
	case !now.Before(t.End(c)):
		return ruleAge
	case t.SafeView && !c.Safe():
		return ruleView
	}
	return ""
}

// termsOn asks policy about a credential on one inbox, of a domain.
func (d *Directory) termsOn(ctx context.Context, org, domain, inbox, agent, credential uuid.UUID) (Terms, error) {
	if d.policy == nil {
		return defaultTerms, nil
	}
	t, err := d.policy(ctx, org, domain, inbox, agent, credential)
	return t.orDefaults(), err
}

// Terms are what holds for a credential whichever of its inboxes it opens: the
// strictest of all.
func (d *Directory) Terms(ctx context.Context, c *storage.Credential) (Terms, error) {
	var all *Terms
	for _, s := range c.Scopes {
		in, err := d.store.InboxRecord(ctx, c.Org, s.Inbox)
		if errors.Is(err, storage.ErrNotFound) {
			continue // removed
		}
		if err != nil {
			return Terms{}, err
		}
		t, err := d.termsOn(ctx, c.Org, in.Domain, in.ID, c.Agent, c.ID)
		if err != nil {
			return Terms{}, err
		}
		if all != nil {
			t = all.strictest(t)
		}
		all = &t
	}
	if all == nil {
		return d.termsOn(ctx, c.Org, zeroID, zeroID, c.Agent, c.ID)
	}
	return *all, nil
}

// renewTerms gives every live session the terms of now. What cannot be read keeps
// the terms that it had: a disk that stutters must not cut everybody.
func (d *Directory) renewTerms(ctx context.Context) {
	if d.policy == nil {
		return
	}
	type subject struct{ inbox, credential uuid.UUID }
	asked := map[subject]*Terms{}
	for _, p := range d.registry.principals() {
		key := subject{p.Inbox.ID(), p.Credential.ID}
		t, ok := asked[key]
		if !ok {
			now, err := d.termsOn(ctx, p.Credential.Org, p.Inbox.Domain(), key.inbox, p.Agent.ID, key.credential)
			if err != nil {
				d.log.Error("the policy of a live session cannot be read; it keeps what it had", "credential", key.credential, "error", err)
			} else {
				t = &now
			}
			asked[key] = t
		}
		if t != nil {
			p.terms.Store(t)
		}
	}
}
