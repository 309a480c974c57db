package directory

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// Options are what a directory needs beside the store.
type Options struct {
	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged

	// Terms asks policy what holds for a credential on the inboxes of a domain; nil,
	// and zero fields: the defaults. Domain and credential may be zero, for one that
	// is yet to be made. It is asked at each login and, for those that are connected,
	// whenever PolicyEpoch gives another number.
	Terms func(ctx context.Context, org, domain, inbox, agent, credential uuid.UUID) (Terms, error)
	// PolicyEpoch changes with every change of policy; nil: Terms is asked each time
	// that Expire looks.
	PolicyEpoch func() uint64
	// People asks policy what holds for people's sessions; nil, and zero fields: the
	// defaults. It is asked whenever a session is used.
	People func(ctx context.Context, org uuid.UUID) (PeopleTerms, error)
	// Site is the host name by which passkeys know this server (WebAuthn, section
	// 5.1.3); empty: there are none.
	Site string
	// Keys has what the rotation of signing keys needs.
	Keys Keys
	// Names has what it takes to ask the DNS about domains.
	Names Names
}

// Directory answers who is who. It is safe for concurrent use.
type Directory struct {
	store     *storage.Store
	now       func() time.Time
	log       *slog.Logger
	throttle  *throttle
	registry  *registry
	pending   *pending
	freezes   freezes
	policy    func(ctx context.Context, org, domain, inbox, agent, credential uuid.UUID) (Terms, error)
	epoch     func() uint64
	known     atomic.Uint64 // epoch of the terms that live sessions have
	personUse lastUse       // of people's sessions
	passwords passwords
	guesses   guesses

	people     func(ctx context.Context, org uuid.UUID) (PeopleTerms, error)
	site       string
	challenges *challenges

	keys     Keys
	keyWake  wake
	absences absences
	names    Names
	checks   *checks

	defaultMu sync.Mutex
	defaultID uuid.UUID
}

// New makes a directory over a store. Call Run, or Flush now and then.
func New(store *storage.Store, o Options) *Directory {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Directory{
		store: store, now: o.Now, log: o.Log,
		throttle: newThrottle(), registry: newRegistry(), pending: newPending(), passwords: newPasswords(), policy: o.Terms, epoch: o.PolicyEpoch,
		people: o.People, site: o.Site, challenges: newChallenges(),
		keys: o.Keys, keyWake: make(wake, 1),
		names: o.Names, checks: newChecks(),
	}
}

// Site is the host name by which passkeys know this server.
func (d *Directory) Site() string { return d.site }

// interval of Run: a session must not outlive its credential by more than a
// second (invariant 8), and refusals must not wait longer than they have to.
const interval = 500 * time.Millisecond

// Run ends erasures that a crash cut short, writes what waits, ends the sessions
// of credentials that expire, looks once an hour for those that will soon, turns
// signing keys and checks domains, until the context is done; then it writes what is
// left.
func (d *Directory) Run(ctx context.Context) {
	var beside sync.WaitGroup
	beside.Go(func() { d.finishErasures(ctx) })
	beside.Go(func() { d.watch(ctx) })
	beside.Go(func() { d.turnKeys(ctx) })
	beside.Go(func() { d.runChecks(ctx) })
	defer beside.Wait()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			d.tryFlush(context.WithoutCancel(ctx), time.Time{})
			return
		case <-tick.C:
			d.Expire()
		case <-d.pending.wake:
		}
		d.tryFlush(ctx, d.now())
	}
}

// Expire ends the live sessions whose time is over, that of their credential or
// their own, by the policy of now, and those that are more than it allows. It
// says how many. // AC-7, AC-11
func (d *Directory) Expire() int {
	if d.epoch == nil {
		d.renewTerms(context.Background())
	} else if now := d.epoch(); d.known.Swap(now) != now {
		d.renewTerms(context.Background())
	}
	over, n := d.registry.expire(d.now())
	for _, cut := range over.byCredential() {
		switch cut.victims[0].reason {
		case ruleRotated, ruleExpired, ruleAge, ruleView: // what else ended them has its own event
			go d.pending.overtaken(cut, d.now())
		}
	}
	return n
}

// Check says whether a session may still act: an *AuthError of class
// ErrCredentials or ErrExpired when its credential, its agent or its own time
// ended, or it is frozen. A verb that takes long asks again before it commits. // AC-9
func (d *Directory) Check(p *Principal) error {
	if no := d.registry.check(p, d.now()); no != nil {
		no.Trace = newTrace()
		return no
	}
	return nil
}

func (d *Directory) tryFlush(ctx context.Context, now time.Time) {
	if err := d.flush(ctx, now); err != nil {
		d.log.Error("what waits for the audit log could not be written; it is kept", "error", err)
	}
}
