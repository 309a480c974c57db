package directory

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// PersonAttempt is a login of a person as a door got it.
type PersonAttempt struct {
	Org               uuid.UUID // whose door it is: people of others are nobody here // AC-19
	Address, Password string
	Code              string // of the authenticator, or a recovery code
	Passkey           []byte // the answer to Asked; it is enough, and what else is said must be right too
	Asked             Asked
	Door              string // "control", "panel"
	Client            string // what the person came with, in its own words
	Peer              audit.Actor
	Unix              string     // the Unix user at the control socket, if there is one
	Network           netip.Addr // where they come from, if known
}

// refusalTime is when a refused login is answered at the earliest. Looking an
// account up, hashing and recording take less than that together, so that an
// account that exists and one that does not cannot be told apart by a clock.
const refusalTime = 300 * time.Millisecond

// Login lets a person in by password and code, or by a passkey, and returns the session's token,
// which is shown this once. Every refusal is an *AuthError with the same words:
// that an account exists, that the password was right, that a code was used
// before, that there were too many failures, are for the log alone. // AC-12
func (d *Directory) Login(ctx context.Context, a PersonAttempt) (*PersonSession, string, error) {
	began := time.Now()
	try := d.tryLogin
	if len(a.Passkey) > 0 {
		try = d.tryPasskey
	}
	ps, token, err := try(ctx, a)
	if err != nil {
		select {
		case <-time.After(time.Until(began.Add(refusalTime))):
		case <-ctx.Done():
		}
	}
	return ps, token, err
}

// loginTries is how often a login begins anew because its account was written in
// the middle: another login may have used the code.
const loginTries = 3

func (d *Directory) tryLogin(ctx context.Context, a PersonAttempt) (*PersonSession, string, error) {
	address, err := personAddress(a.Address)
	if err != nil {
		address = "" // nobody's
	}
	place := guessed{address, a.Network}
	for range loginTries {
		now := d.now()
		if d.throttle.full(a.Network, now) || d.guesses.full(place.key(), placeGuesses, now) || d.guesses.full(place.codeKey(), codeGuesses, now) {
			return nil, "", d.strangePerson(a, "person-failures")
		}
		p, known, err := d.findPerson(ctx, a.Org, address)
		if err != nil {
			return nil, "", unavailable(err)
		}
		factor, rule, err := d.prove(ctx, &p, known, a)
		if err != nil {
			return nil, "", unavailable(err)
		}
		if rule != "" {
			d.countGuess(a, place, rule)
			if !known {
				return nil, "", d.strangePerson(a, "person-unknown")
			}
			return nil, "", d.refusePerson(ctx, a, &p, rule)
		}
		ps, token, err := d.enter(ctx, a, p, factor, func(tx *storage.Tx, e *audit.Event, p *storage.Person) error { return tx.UpdatePerson(e, p) })
		if errors.Is(err, storage.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, "", unavailable(err)
		}
		d.guesses.forget(place.key())
		return ps, token, nil
	}
	return nil, "", unavailable(storage.ErrConflict)
}

// findPerson looks an account up; who is not there is an empty one.
func (d *Directory) findPerson(ctx context.Context, org uuid.UUID, address string) (p storage.Person, known bool, err error) {
	p, err = d.store.PersonByAddress(ctx, address)
	if errors.Is(err, storage.ErrNotFound) || err == nil && p.Org != org {
		return storage.Person{}, false, nil
	}
	return p, err == nil, err
}

// prove holds password and code against an account, both always. It returns the
// factor that was shown, or the rule by which the login is refused.
func (d *Directory) prove(ctx context.Context, p *storage.Person, known bool, a PersonAttempt) (factor, rule string, err error) {
	right, err := d.passwords.right(ctx, p.Password, normalPassword(a.Password))
	if err != nil {
		return "", "", err
	}
	keys, err := d.passkeysOf(ctx, p, known)
	if err != nil {
		return "", "", err
	}
	factor, rule = d.useCode(p, p.ID, a.Code, d.now())
	switch {
	case !known:
		return "", "person-unknown", nil
	case !right:
		return "", "password", nil
	case !p.Disabled.IsZero():
		return "", "disabled", nil
	}
	if rule == "" {
		rule, err = d.enough(ctx, p, factor, len(keys) > 0)
	}
	return factor, rule, err
}

// passkeysOf are the passkeys by which somebody may sign in here.
func (d *Directory) passkeysOf(ctx context.Context, p *storage.Person, known bool) ([]storage.Passkey, error) {
	if !known {
		return nil, nil
	}
	keys, err := d.store.Passkeys(ctx, p.Org, p.ID)
	return here(keys, d.site), err
}

// enough says by which rule a password and a factor do not do for somebody who has a
// passkey: a password alone never does, and where policy asks for passkeys, a
// recovery code alone stands in for one. // AC-15
func (d *Directory) enough(ctx context.Context, p *storage.Person, factor string, passkey bool) (rule string, err error) {
	t, err := d.peopleTerms(ctx, p.Org)
	if passkey && (factor == noFactor || t.Factor == methodPasskey && factor != methodRecovery) {
		rule = "passkey-needed"
	}
	return rule, err
}

// tryPasskey lets a person in by a passkey, which shows two factors at once: that
// they have it, and what unlocks it (user verification). An address or a password
// that is said beside it must be right as well.
func (d *Directory) tryPasskey(ctx context.Context, a PersonAttempt) (*PersonSession, string, error) {
	if d.throttle.full(a.Network, d.now()) {
		return nil, "", d.strangePerson(a, "person-failures")
	}
	a.Asked.For = PasskeyLogin
	s, known, err := d.check(ctx, a.Org, a.Asked, a.Passkey)
	var no *errPasskey
	switch {
	case errors.As(err, &no):
		d.throttle.failed(a.Network, d.now())
		if !known {
			return nil, "", d.strangePerson(a, no.rule)
		}
		return nil, "", d.refusePerson(ctx, a, &s.person, no.rule)
	case err != nil:
		return nil, "", unavailable(err)
	case s.suspect:
		if err := d.suspectKey(ctx, a.Peer, s); err != nil {
			return nil, "", unavailable(err)
		}
		return nil, "", d.refusePerson(ctx, a, &s.person, "passkey-suspect")
	}
	if rule, err := d.beside(ctx, a, &s.person); err != nil {
		return nil, "", unavailable(err)
	} else if rule != "" {
		d.countGuess(a, guessed{s.person.Address, a.Network}, rule)
		return nil, "", d.refusePerson(ctx, a, &s.person, rule)
	}
	ps, token, err := d.enter(ctx, a, s.person, methodPasskey, func(tx *storage.Tx, e *audit.Event, p *storage.Person) error {
		k := s.key
		e.Fields = append(e.Fields, audit.ID(audit.KeyPasskey, k.ID))
		now, err := tx.Person(p.ID)
		if err != nil {
			return err
		}
		if now.Version != p.Version {
			return storage.ErrConflict // it was changed meanwhile: disabled, perhaps
		}
		return tx.UpdatePasskey(e, &k)
	})
	if errors.Is(err, storage.ErrConflict) {
		return nil, "", d.refusePerson(ctx, a, &s.person, "passkey-busy")
	}
	if err != nil {
		return nil, "", unavailable(err)
	}
	return ps, token, nil
}

// beside holds what was said beside a passkey to whose it is.
func (d *Directory) beside(ctx context.Context, a PersonAttempt, p *storage.Person) (rule string, err error) {
	if !p.Disabled.IsZero() {
		return "disabled", nil
	}
	if a.Address != "" {
		if address, err := personAddress(a.Address); err != nil || address != p.Address {
			return "passkey-person", nil
		}
	}
	if a.Password == "" {
		return "", nil
	}
	right, err := d.passwords.right(ctx, p.Password, normalPassword(a.Password))
	if err == nil && !right {
		rule = "password"
	}
	return rule, err
}

// countGuess counts what was wrong where it counts.
func (d *Directory) countGuess(a PersonAttempt, place guessed, rule string) {
	now := d.now()
	d.throttle.failed(a.Network, now)
	switch rule {
	case "code", "code-used":
		d.guesses.failed(place.codeKey(), codeGuesses, now)
	default:
		d.guesses.failed(place.key(), placeGuesses, now)
	}
}

// enter records the login, what it used up and the session, in one transaction:
// a code that a login used is used, and one whose login could not be recorded is
// not. storage.ErrConflict when the account was written in the meantime.
func (d *Directory) enter(ctx context.Context, a PersonAttempt, p storage.Person, factor string, use func(tx *storage.Tx, e *audit.Event, p *storage.Person) error) (*PersonSession, string, error) {
	was := p
	entered := &PersonSession{Person: p}
	entered.Session.ID = storage.NewID()
	spec := SessionSpec{ID: entered.Session.ID, Door: a.Door, Factor: factor != noFactor, Method: factor, Network: a.Network, Client: a.Client}
	if factor == noFactor {
		spec.Method = methodPassword
	}
	t, err := d.peopleTerms(ctx, p.Org)
	if err != nil {
		return nil, "", err
	}
	if spec, err = d.ruled(ctx, p.Org, spec); err != nil {
		return nil, "", err
	}
	var token string
	err = d.store.Write(ctx, entered.Actor(a.Unix, a.Network), func(tx *storage.Tx) (err error) {
		p = was
		e := tx.Record(personEvent(audit.PersonLogin, &p, "login"))
		e.Fields = append(e.Fields, audit.Word(audit.KeyDoor, a.Door), audit.Word(audit.KeyFactor, factor))
		if err := use(tx, e, &p); err != nil {
			return err
		}
		entered.Session, token, err = d.startSession(tx, e, &p, spec)
		return err
	})
	entered.Person, entered.Fresh, entered.Must = p, t.fresh(&entered.Session), t.must(&entered.Session)
	return entered, token, err
}

// refusePerson records that a known person was not let in. // AU-13
func (d *Directory) refusePerson(ctx context.Context, a PersonAttempt, p *storage.Person, rule string) error {
	no := &AuthError{Class: ErrCredentials, Rule: rule, Trace: newTrace()}
	err := d.store.Write(ctx, a.Peer, func(tx *storage.Tx) error {
		tx.Record(audit.Event{Verb: audit.PersonRefused, Outcome: audit.Refused, Org: p.Org, Object: p.ID,
			Fields:   audit.Fields{audit.Word(audit.KeyDoor, a.Door), audit.Word(audit.KeyRule, rule), audit.Word(audit.KeyTrace, no.Trace)},
			Personal: audit.Fields{audit.Text(audit.KeyPerson, p.Address)}})
		return nil
	})
	if err != nil {
		return unavailable(err)
	}
	return no
}

// strangePerson counts a login with others of its kind: of nobody whom we know,
// or of somebody who fails too often to be given an event each time.
func (d *Directory) strangePerson(a PersonAttempt, rule string) error {
	d.Refuse(a.Network, "LOGIN", rule)
	return &AuthError{Class: ErrCredentials, Rule: rule, Trace: newTrace()}
}
