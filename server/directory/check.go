package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/dns/zone"
	"postern/storage"
	"postern/storage/audit"
)

// Names is what Options has for asking the DNS about domains.
type Names struct {
	// Facts are what the plan of a domain follows from.
	Facts func(ctx context.Context, d storage.Domain) (zone.Facts, error)
	// Look asks the DNS; nil: nobody can be asked, and no domain is checked.
	Look func(ctx context.Context, f zone.Facts) (zone.Report, error)
	// Watch has Run check domains by itself, when they are due.
	Watch bool
}

// How often a domain is looked at by itself. While something is left to do, it is
// often at first, when somebody may be mending it, and rarely after a day.
const (
	checkDaily = 24 * time.Hour
	checkRetry = time.Minute // after a check that nobody answered
	checkPoll  = 10 * time.Second
	checksDue  = 32 // taken at a time
	checksOpen = 4  // running at a time
)

// nextCheck is how long to wait for the next check, by how long nothing has changed.
func nextCheck(quiet time.Duration, report *zone.Report) time.Duration {
	switch {
	case report.Good():
		return checkDaily
	case quiet < time.Minute:
		return 10 * time.Second
	case quiet < time.Hour:
		return time.Minute
	case quiet < 24*time.Hour:
		return time.Hour
	}
	return checkDaily
}

// checks are the checks that run now. Who asks while one runs gets its answer.
type checks struct {
	mu      sync.Mutex
	running map[uuid.UUID]*checkRun
	later   map[uuid.UUID]time.Time // those that failed, and when to try again
	wake    chan struct{}
}

type checkRun struct {
	done   chan struct{}
	domain storage.Domain
	check  storage.DomainCheck
	err    error
}

func newChecks() *checks {
	return &checks{running: map[uuid.UUID]*checkRun{}, later: map[uuid.UUID]time.Time{}, wake: make(chan struct{}, 1)}
}

// KickChecks has somebody look at once whether a domain is to be checked.
func (d *Directory) KickChecks() {
	select {
	case d.checks.wake <- struct{}{}:
	default:
	}
}

// CheckDomain asks the DNS now what a domain publishes, and records what is new
// since the last check, each state that changed with before and after. It may prove
// that the domain is owned, and find who keeps its names. // AU-11
func (d *Directory) CheckDomain(ctx context.Context, actor audit.Actor, org uuid.UUID, name string) (storage.Domain, storage.DomainCheck, error) {
	domain, err := d.Domain(ctx, org, name)
	if err != nil {
		return domain, storage.DomainCheck{}, err
	}
	return d.checkOnce(ctx, actor, domain)
}

// DomainCheck is what the last check found; its Checked is zero before the first.
func (d *Directory) DomainCheck(ctx context.Context, org, domain uuid.UUID) (storage.DomainCheck, error) {
	c, err := d.store.DomainCheck(ctx, org, domain)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.DomainCheck{}, nil
	}
	return c, err
}

// checkOnce runs a check, or waits for the one that runs.
func (d *Directory) checkOnce(ctx context.Context, actor audit.Actor, domain storage.Domain) (storage.Domain, storage.DomainCheck, error) {
	d.checks.mu.Lock()
	run, running := d.checks.running[domain.ID]
	if !running {
		run = &checkRun{done: make(chan struct{})}
		d.checks.running[domain.ID] = run
	}
	d.checks.mu.Unlock()
	if running {
		select {
		case <-run.done:
			return run.domain, run.check, run.err
		case <-ctx.Done():
			return domain, storage.DomainCheck{}, ctx.Err()
		}
	}
	run.domain, run.check, run.err = d.checkNow(ctx, actor, domain)
	d.checks.mu.Lock()
	delete(d.checks.running, domain.ID)
	d.checks.mu.Unlock()
	close(run.done)
	return run.domain, run.check, run.err
}

func (d *Directory) checkNow(ctx context.Context, actor audit.Actor, domain storage.Domain) (storage.Domain, storage.DomainCheck, error) {
	if d.names.Look == nil {
		return domain, storage.DomainCheck{}, fmt.Errorf("%w: this server does not ask the DNS about its domains", ErrState)
	}
	facts, err := d.names.Facts(ctx, domain)
	if err != nil {
		return domain, storage.DomainCheck{}, err
	}
	report, err := d.names.Look(ctx, facts)
	if err != nil {
		return domain, storage.DomainCheck{}, err
	}
	return d.noteCheck(ctx, actor, domain, &report)
}

// noteCheck records what a check found. No event where nothing is new: that a check
// was made says nothing.
func (d *Directory) noteCheck(ctx context.Context, actor audit.Actor, domain storage.Domain, report *zone.Report) (storage.Domain, storage.DomainCheck, error) {
	before, err := d.DomainCheck(ctx, domain.Org, domain.ID)
	if err != nil {
		return domain, before, err
	}
	n := newNote(domain, before, report)
	if n.empty() {
		err := d.noteNothing(ctx, n)
		return domain, n.after, err
	}
	var after storage.DomainCheck
	var changed storage.Domain
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) (err error) {
		after, changed, err = n.write(tx)
		return err
	})
	switch {
	case errors.Is(err, storage.ErrNoEvent): // all that was new is a proof that does not hold
		err := d.noteNothing(ctx, n)
		return domain, n.after, err
	case errors.Is(err, storage.ErrConflict):
		return domain, before, fmt.Errorf("%w: the domain changed while it was checked: try again", ErrState)
	}
	return changed, after, err
}

// noteNothing says when the next check is, after one that found nothing new.
func (d *Directory) noteNothing(ctx context.Context, n *note) error {
	now := d.now()
	n.after.Checked, n.after.Due = now, now.Add(nextCheck(now.Sub(n.after.Changed), n.report))
	if n.after.Version == 0 {
		return nil // there is no row yet
	}
	return d.store.Upkeep(ctx, func(u *storage.Upkeep) error { return u.DomainChecked(n.domain.ID, n.after.Due) })
}

// runChecks checks domains when they are due, until the context is done. What a
// restart interrupts is due as it was.
func (d *Directory) runChecks(ctx context.Context) {
	if d.names.Look == nil || !d.names.Watch {
		return
	}
	changed := d.store.WatchDomains() // what a domain should publish may be another
	defer changed.Stop()
	turns := make(chan struct{}, checksOpen)
	var all sync.WaitGroup
	defer all.Wait()
	for ctx.Err() == nil {
		due, next, err := d.store.DomainsDue(ctx, d.now(), checksDue)
		if err != nil && ctx.Err() == nil {
			d.log.Error("cannot say which domains are to be checked", "error", err)
		}
		for _, ref := range changed.Take() {
			if ref.Domain != zeroID {
				due = append(due, storage.Head{Org: ref.Org, ID: ref.Domain})
			}
		}
		for _, h := range due {
			if !d.mayCheck(h.ID) {
				continue
			}
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return
			}
			all.Go(func() {
				defer func() { <-turns }()
				d.checkDue(ctx, h)
			})
		}
		d.awaitChecks(ctx, next, changed.Hint())
	}
}

// awaitChecks waits until the next check is due, or somebody says that one is; the
// clock may be put forward meanwhile.
func (d *Directory) awaitChecks(ctx context.Context, next time.Time, changed <-chan struct{}) {
	wait := checkPoll
	if until := next.Sub(d.now()); !next.IsZero() && until < wait {
		wait = max(until, time.Second)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-d.checks.wake:
	case <-changed:
	}
}

// mayCheck holds back what runs, and what failed a moment ago.
func (d *Directory) mayCheck(domain uuid.UUID) bool {
	d.checks.mu.Lock()
	defer d.checks.mu.Unlock()
	return d.checks.running[domain] == nil && !d.now().Before(d.checks.later[domain])
}

// checkDue checks a domain whose time has come.
func (d *Directory) checkDue(ctx context.Context, h storage.Head) {
	domain, err := d.store.Domain(ctx, h.Org, h.ID)
	if err == nil {
		var c storage.DomainCheck
		if _, c, err = d.checkOnce(ctx, storage.System, domain); err == nil && c.Version > 0 {
			d.checks.mu.Lock()
			delete(d.checks.later, h.ID)
			d.checks.mu.Unlock()
			return
		}
	}
	d.checks.mu.Lock()
	d.checks.later[h.ID] = d.now().Add(checkRetry)
	d.checks.mu.Unlock()
	if err != nil && !errors.Is(err, storage.ErrNotFound) && ctx.Err() == nil {
		d.log.Warn("a domain could not be checked", "domain", h.ID, "error", err)
	}
}

// note is what is new about a domain.
type note struct {
	domain        storage.Domain
	before, after storage.DomainCheck
	report        *zone.Report
	changes       []recordChange
	broken        []storage.RecordState // required, and not right any more
}

// recordChange is a record that is in another state than before. Of one that the
// plan has anew, before is zero; of one that it has no more, after is.
type recordChange struct{ before, after storage.RecordState }

func newNote(domain storage.Domain, before storage.DomainCheck, report *zone.Report) *note {
	n := &note{domain: domain, before: before, report: report}
	n.after = storage.DomainCheck{Head: before.Head, Provider: report.Provider.Name, Zone: report.Zone, Servers: report.Servers, Signed: report.Signed,
		Silent: report.Silent, Changed: before.Changed, Checked: before.Checked, Due: before.Due}
	n.after.ID, n.after.Org = domain.ID, domain.Org
	if report.Zone == "" { // it could not be found: what was known stays
		n.after.Provider, n.after.Zone, n.after.Servers, n.after.Signed = before.Provider, before.Zone, before.Servers, before.Signed
	}
	old := map[string]storage.RecordState{}
	for _, r := range before.Records {
		old[recordKey(r)] = r
	}
	for _, f := range report.Findings {
		is := recordState(f)
		was, known := old[recordKey(is)]
		delete(old, recordKey(is))
		n.compare(was, is, known)
	}
	for _, r := range before.Records {
		if was, gone := old[recordKey(r)]; gone {
			n.changes = append(n.changes, recordChange{before: was})
		}
	}
	return n
}

// recordKey tells the records of a plan apart. What is expected belongs to it where
// several records have one name and type.
func recordKey(r storage.RecordState) string {
	key := r.Purpose + " " + r.Name + " " + r.Type
	switch zone.Purpose(r.Purpose) {
	case zone.PurposeHost, zone.PurposePTR, zone.PurposeTLSA, zone.PurposeCAA:
		key += " " + r.Expected
	}
	return key
}

func recordState(f zone.Finding) storage.RecordState {
	return storage.RecordState{Group: string(f.Group), Name: f.Name, Type: f.Type, Purpose: string(f.Purpose), Required: f.Required, Expected: f.Value,
		State: string(f.State), Found: f.Found, Hint: f.Hint}
}

// compare notes what became of one record. What could not be asked is as it was.
func (n *note) compare(was, is storage.RecordState, known bool) {
	if is.State == string(zone.Unknown) && known {
		n.after.Records = append(n.after.Records, was)
		return
	}
	same := known && was.State == is.State && was.Expected == is.Expected && slices.Equal(was.Found, is.Found)
	is.Since, is.Worked = was.Since, was.Worked
	switch is.State {
	case string(zone.OK):
		is.Worked = true
	case string(zone.Missing), string(zone.Wrong), string(zone.Conflict):
		if is.Required && was.Worked {
			n.broken = append(n.broken, is)
		}
		is.Worked = false
	}
	if !same {
		n.changes = append(n.changes, recordChange{was, is})
	}
	n.after.Records = append(n.after.Records, is)
}

// empty reports whether nothing is new. A first check that nobody answered is
// nothing.
func (n *note) empty() bool {
	answered := slices.ContainsFunc(n.after.Records, func(r storage.RecordState) bool { return r.State != string(zone.Unknown) })
	if n.before.Version == 0 && !answered {
		return true
	}
	return len(n.changes) == 0 && !n.otherHands() && n.proof(&n.domain) == storage.ProofNone
}

// otherHands reports whether others keep the names than before, or sign them.
func (n *note) otherHands() bool {
	b, a := &n.before, &n.after
	return n.names() != n.domain.Names || b.Zone != a.Zone || b.Signed != a.Signed || !slices.Equal(b.Servers, a.Servers)
}

func (n *note) names() storage.DomainNames {
	if n.report.Zone == "" {
		return n.domain.Names
	}
	return storage.DomainNames(n.report.Names)
}

// proof is by what the domain is now proved to be owned, and was not.
func (n *note) proof(d *storage.Domain) storage.DomainProof {
	if n.report.Proof == "" || d.Owned && d.Proof != storage.ProofAssumed && d.Proof != storage.ProofNone {
		return storage.ProofNone
	}
	return storage.DomainProof(n.report.Proof)
}

// write records what is new, in one transaction.
func (n *note) write(tx *storage.Tx) (storage.DomainCheck, storage.Domain, error) {
	after, domain := n.after, n.domain // the function may run twice
	after.Records = slices.Clone(after.Records)
	var last *audit.Event
	for _, c := range n.changes {
		last = tx.Record(n.changed(c))
		for i := range after.Records {
			if c.after.Name != "" && recordKey(after.Records[i]) == recordKey(c.after) {
				after.Records[i].Since = tx.Now()
			}
		}
	}
	e, err := n.writeDomain(tx, &domain)
	if err != nil {
		return after, domain, err
	}
	if e != nil {
		last = e
	}
	if last == nil {
		return after, domain, nil
	}
	after.Due = tx.Now().Add(nextCheck(0, n.report))
	if err := tx.PutDomainCheck(last, &after); err != nil {
		return after, domain, err
	}
	return after, domain, n.alert(tx)
}

// writeDomain records who keeps the names, and what proves that they are owned.
func (n *note) writeDomain(tx *storage.Tx, d *storage.Domain) (*audit.Event, error) {
	var last *audit.Event
	about := audit.Text(audit.KeyDomain, d.Name)
	if n.otherHands() {
		last = tx.Record(audit.Event{Verb: audit.DomainNames, Outcome: audit.OK, Org: d.Org, Object: d.ID,
			Fields: audit.Fields{audit.Word(audit.KeyNames, namesWord(n.names()))},
			Personal: audit.Fields{about, audit.Text(audit.KeyBefore, hands(d.Names, &n.before)),
				audit.Text(audit.KeyAfter, hands(n.names(), &n.after))}})
	}
	proof, err := n.soundProof(tx, d)
	if err != nil {
		return nil, err
	}
	if proof != storage.ProofNone {
		last = proved(tx, d, proof)
		d.Owned, d.Proof, d.Proved = true, proof, tx.Now()
	}
	if proof == storage.ProofNone && n.names() == d.Names {
		return last, nil // the row of the domain stays as it is
	}
	d.Names = n.names()
	return last, tx.UpdateDomain(last, d)
}

// proved is the event of a proof.
func proved(tx *storage.Tx, d *storage.Domain, proof storage.DomainProof) *audit.Event {
	before := "unproved"
	if d.Owned {
		before = string(storage.ProofAssumed)
	}
	return tx.Record(audit.Event{Verb: audit.DomainProve, Outcome: audit.OK, Org: d.Org, Object: d.ID,
		Fields: audit.Fields{audit.Word(audit.KeyProof, string(proof))},
		Personal: audit.Fields{audit.Text(audit.KeyDomain, d.Name), audit.Text(audit.KeyBefore, before),
			audit.Text(audit.KeyAfter, string(proof))}})
}

// soundProof is the proof, unless it is our own word: this server answers for any
// name that anybody adds, and so below a domain that was delegated to it by somebody
// else. There the owner of that domain alone has a proof.
func (n *note) soundProof(tx *storage.Tx, d *storage.Domain) (storage.DomainProof, error) {
	proof := n.proof(d)
	if proof == storage.ProofNone || n.names() != storage.NamesDelegated {
		return proof, nil
	}
	above, err := ownerAbove(tx, d.Name)
	if err != nil || above != d.Org && (above != uuid.Nil || n.report.Own) {
		return storage.ProofNone, err
	}
	return proof, nil
}

// ownerAbove is the organization that owns the closest domain above a name which is
// owned; zero when none is.
func ownerAbove(tx *storage.Tx, name string) (uuid.UUID, error) {
	for {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return uuid.Nil, nil
		}
		name = rest
		above, err := tx.DomainHolder(name)
		switch {
		case errors.Is(err, storage.ErrNotFound):
		case err != nil:
			return uuid.Nil, err
		case above.Owned:
			return above.Org, nil
		}
	}
}

func namesWord(n storage.DomainNames) string {
	if n == storage.NamesByHand {
		return "hand"
	}
	return string(n)
}

// hands says who keeps the names, for the log.
func hands(names storage.DomainNames, c *storage.DomainCheck) string {
	if c.Zone == "" {
		return ""
	}
	signed := ""
	if c.Signed {
		signed = ", signed"
	}
	return fmt.Sprintf("%s; zone %s%s at %s", namesWord(names), c.Zone, signed, strings.Join(c.Servers, " "))
}

// changed is the event of one record. // AU-11
func (n *note) changed(c recordChange) audit.Event {
	r, state := c.after, c.after.State
	if r.Name == "" {
		r, state = c.before, "unplanned"
	}
	e := audit.Event{Verb: audit.DomainRecord, Outcome: audit.OK, Org: n.domain.Org, Object: n.domain.ID,
		Fields: audit.Fields{audit.Word(audit.KeyPurpose, r.Purpose), audit.Word(audit.KeyRecord, r.Type),
			audit.Word(audit.KeyState, state), audit.Bool(audit.KeyRequired, r.Required)},
		Personal: audit.Fields{audit.Text(audit.KeyDomain, n.domain.Name), audit.Text(audit.KeyHost, r.Name),
			audit.Text(audit.KeyBefore, strings.Join(c.before.Found, " | ")), audit.Text(audit.KeyAfter, strings.Join(c.after.Found, " | "))}}
	if c.before.State != "" {
		e.Fields = append(e.Fields, audit.Word(audit.KeyWas, c.before.State))
	}
	return e
}

// alert says that somebody should look: a record without which mail does not work
// was there, and is not any more.
func (n *note) alert(tx *storage.Tx) error {
	if len(n.broken) == 0 {
		return nil
	}
	r := n.broken[0]
	detail := fmt.Sprintf("The %s record at %s is %s", r.Type, r.Name, r.State)
	if more := len(n.broken) - 1; more > 0 {
		detail += fmt.Sprintf(", and %d more of %s", more, n.domain.Name)
	}
	return tx.RaiseAlert(storage.Alert{Head: storage.Head{Org: n.domain.Org}, Kind: storage.AlertDomainBroken, Object: n.domain.ID,
		Detail: detail + ": postern domain check " + n.domain.Name})
}

// DomainRecords is the plan of a domain: what it should publish.
func (d *Directory) DomainRecords(ctx context.Context, domain storage.Domain) ([]zone.Record, error) {
	facts, err := d.names.Facts(ctx, domain)
	if err != nil {
		return nil, err
	}
	return zone.Plan(facts)
}
