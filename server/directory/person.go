package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// PersonSpec says what account a person is to have.
type PersonSpec struct {
	Address  string // mail address, which is the login name
	Roles    []storage.PersonRole
	Password string // empty: they cannot log in by a password
	Factor   bool   // with a second factor; without one nothing reserved is allowed to them
	First    bool   // refuse when anybody has an account already
}

// CreatePerson gives a person an account, and with a second factor returns what
// is shown of it this once. ErrRefused when the first is wanted and there is
// somebody.
func (d *Directory) CreatePerson(ctx context.Context, actor audit.Actor, org uuid.UUID, spec PersonSpec) (storage.Person, *Factor, error) {
	p, err := d.newPerson(ctx, org, spec)
	if err != nil {
		return storage.Person{}, nil, err
	}
	var factor *Factor
	if spec.Factor {
		if factor, err = d.newFactor(&p); err != nil {
			return storage.Person{}, nil, err
		}
	}
	made := p
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		made = p
		rule := "created"
		if spec.First {
			rule = "first-admin"
			if people, err := tx.People(org); err != nil || len(people) > 0 {
				return cmp.Or(err, fmt.Errorf("%w: there are people already; log in as one who may create others", ErrRefused))
			}
		}
		e := tx.Record(personEvent(audit.PersonCreate, &made, rule))
		e.Personal = append(e.Personal, audit.Text(audit.KeyAfter, describePerson(&made)))
		return tx.CreatePerson(e, &made)
	})
	return made, factor, taken(err, "account")
}

// newPerson is the record of an account that is yet to be stored.
func (d *Directory) newPerson(ctx context.Context, org uuid.UUID, spec PersonSpec) (p storage.Person, err error) {
	p.ID, p.Org = storage.NewID(), org
	if p.Address, err = personAddress(spec.Address); err != nil {
		return p, err
	}
	if p.Roles, err = checkRoles(spec.Roles); err != nil {
		return p, err
	}
	if spec.First && !p.Has(storage.PersonAdmin) {
		return p, fmt.Errorf("%w: the first person needs the role admin", ErrRefused)
	}
	if spec.Password == "" {
		return p, nil
	}
	text, err := checkPassword(spec.Password, p.Address)
	if err != nil {
		return p, err
	}
	p.Password, err = d.passwords.hash(ctx, text)
	return p, err
}

// personAddress is a login name in the one form in which it is stored.
func personAddress(text string) (string, error) {
	path, err := message.ParseAddress(text)
	if err != nil {
		return "", fmt.Errorf("%w: %q is no mail address: %v", ErrInvalid, text, err)
	}
	return path.Canonical().String(), nil
}

// Roles is the closed list of what people are for.
func Roles() []storage.PersonRole {
	return []storage.PersonRole{storage.PersonAdmin, storage.PersonOperator, storage.PersonReviewer, storage.PersonAuditor}
}

// checkRoles brings roles into their order, each once.
func checkRoles(roles []storage.PersonRole) (all []storage.PersonRole, err error) {
	for _, r := range roles {
		if !slices.Contains(Roles(), r) {
			return nil, fmt.Errorf("%w: %q is no role: use admin, operator, reviewer, auditor", ErrInvalid, r)
		}
	}
	for _, r := range Roles() {
		if slices.Contains(roles, r) {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: a person needs a role: admin, operator, reviewer or auditor", ErrInvalid)
	}
	return all, nil
}

// SetRoles gives a person other roles. They hold at once, in sessions that live.
func (d *Directory) SetRoles(ctx context.Context, actor audit.Actor, org, id uuid.UUID, roles []storage.PersonRole) (storage.Person, error) {
	roles, err := checkRoles(roles)
	if err != nil {
		return storage.Person{}, err
	}
	return d.changePerson(ctx, actor, org, id, "roles", func(p *storage.Person) error {
		if slices.Equal(p.Roles, roles) {
			return fmt.Errorf("%w: these are the roles already", ErrState)
		}
		p.Roles = roles
		return nil
	})
}

// DisablePerson keeps a person out, and ends their sessions now. // AC-9
func (d *Directory) DisablePerson(ctx context.Context, actor audit.Actor, org, id uuid.UUID, reason string) (storage.Person, error) {
	if reason == "" || len(reason) > 1000 {
		return storage.Person{}, fmt.Errorf("%w: to disable a person needs a reason of 1 to 1000 bytes", ErrInvalid)
	}
	return d.changePerson(ctx, actor, org, id, "disabled", func(p *storage.Person) error {
		if !p.Disabled.IsZero() {
			return fmt.Errorf("%w: the account is disabled", ErrState)
		}
		p.Disabled, p.Reason = d.now().UTC(), reason
		return nil
	})
}

// EnablePerson lets a person in again.
func (d *Directory) EnablePerson(ctx context.Context, actor audit.Actor, org, id uuid.UUID) (storage.Person, error) {
	return d.changePerson(ctx, actor, org, id, "enabled", func(p *storage.Person) error {
		if p.Disabled.IsZero() {
			return fmt.Errorf("%w: the account is not disabled", ErrState)
		}
		p.Disabled, p.Reason = time.Time{}, ""
		return nil
	})
}

// ResetFactor gives a person a new second factor and returns what is shown of it
// this once. The old one, its recovery codes and all sessions end.
func (d *Directory) ResetFactor(ctx context.Context, actor audit.Actor, org, id uuid.UUID) (p storage.Person, factor *Factor, err error) {
	p, err = d.changePerson(ctx, actor, org, id, "factor", func(p *storage.Person) (err error) {
		factor, err = d.newFactor(p)
		return err
	})
	return p, factor, err
}

// ChangePassword gives a person another password, who did not change it themselves
// (SetPassword does that): their sessions end.
func (d *Directory) ChangePassword(ctx context.Context, actor audit.Actor, org, id uuid.UUID, new string) (storage.Person, error) {
	was, err := d.store.Person(ctx, org, id)
	if err != nil {
		return was, err
	}
	text, err := checkPassword(new, was.Address)
	if err != nil {
		return was, err
	}
	hashed, err := d.passwords.hash(ctx, text)
	if err != nil {
		return was, err
	}
	return d.changePerson(ctx, actor, org, id, "password", func(p *storage.Person) error {
		p.Password = hashed
		return nil
	})
}

// provePassword holds a session that somebody else may have taken to what only
// the person knows, under the same limits as a login.
func (d *Directory) provePassword(ctx context.Context, actor audit.Actor, p *storage.Person, old string) error {
	place := guessed{p.Address, actor.Network}
	if d.guesses.full(place.key(), placeGuesses, d.now()) {
		return fmt.Errorf("%w: too many wrong passwords, try later", ErrRefused)
	}
	ok, err := d.passwords.right(ctx, p.Password, normalPassword(old))
	if err == nil && !ok {
		d.guesses.failed(place.key(), placeGuesses, d.now())
		err = fmt.Errorf("%w: that is not the present password", ErrRefused)
	}
	return err
}

// isSelf reports whether somebody acts on their own account.
func isSelf(actor audit.Actor, id uuid.UUID) bool {
	return actor.Kind == audit.Person && actor.ID == id
}

// changePerson changes an account in one transaction with its event, which says
// what was before and after, and ends the sessions that must not outlive it.
// Nobody takes away the last admin.
func (d *Directory) changePerson(ctx context.Context, actor audit.Actor, org, id uuid.UUID, what string, change func(p *storage.Person) error) (p storage.Person, err error) {
	return d.changing(ctx, actor, org, id, what, change, func(*storage.Tx, *audit.Event) error { return nil })
}

// changing is changePerson with something that is written under the same event.
func (d *Directory) changing(ctx context.Context, actor audit.Actor, org, id uuid.UUID, what string, change func(p *storage.Person) error, also func(*storage.Tx, *audit.Event) error) (p storage.Person, err error) {
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		people, err := tx.People(org)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(people, func(p storage.Person) bool { return p.ID == id })
		if at < 0 {
			return storage.ErrNotFound
		}
		was := people[at]
		p = was
		if err := change(&p); err != nil {
			return err
		}
		people[at] = p
		if was.Has(storage.PersonAdmin) && !slices.ContainsFunc(people, func(p storage.Person) bool { return p.Has(storage.PersonAdmin) }) {
			return fmt.Errorf("%w: %s is the last admin: make another first", ErrRefused, p.Address)
		}
		if !isSelf(actor, id) {
			p.Settled = tx.Now()
		}
		e := tx.Record(personEvent(audit.PersonChange, &p, what))
		if err := errors.Join(endWith(tx, e, actor, &p, what), also(tx, e)); err != nil {
			return err
		}
		e.Personal = append(e.Personal, audit.Text(audit.KeyBefore, describePerson(&was)), audit.Text(audit.KeyAfter, describePerson(&p)))
		if p.Reason != "" {
			e.Personal = append(e.Personal, audit.Text(audit.KeyNote, p.Reason))
		}
		return tx.UpdatePerson(e, &p)
	})
	return p, err
}

// endWith ends the sessions that a change ends. Roles are asked for at each act
// and end none.
func endWith(tx *storage.Tx, e *audit.Event, actor audit.Actor, p *storage.Person, what string) error {
	var but uuid.UUID
	switch {
	case what == "roles" || what == "recovery":
		return nil
	case (what == "password" || what == "authenticator") && isSelf(actor, p.ID):
		but = actor.Session
	}
	n, err := endSessions(tx, e, p.ID, but)
	e.Fields = append(e.Fields, audit.Int(audit.KeyCount, n))
	return err
}

// personEvent is an event about a person; rule says in a word what it is.
func personEvent(verb audit.Verb, p *storage.Person, rule string) audit.Event {
	e := audit.Event{Verb: verb, Outcome: audit.OK, Org: p.Org, Object: p.ID,
		Fields:   audit.Fields{audit.Word(audit.KeyRule, rule), audit.Word(audit.KeyState, personState(p))},
		Personal: audit.Fields{audit.Text(audit.KeyPerson, p.Address)}}
	for _, r := range p.Roles {
		e.Fields = append(e.Fields, audit.Word(audit.KeyRole, string(r)))
	}
	return e
}

func personState(p *storage.Person) string {
	if p.Disabled.IsZero() {
		return "active"
	}
	return "disabled"
}

// describePerson is an account on one line, for the values before and after.
func describePerson(p *storage.Person) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s roles=", p.Address, personState(p))
	for i, r := range p.Roles {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(r))
	}
	fmt.Fprintf(&b, " password=%t factor=%t recovery=%d", p.Password != nil, len(p.TOTP) > 0, len(p.Recovery))
	return b.String()
}

// Person finds a person of an organization by address or id.
func (d *Directory) Person(ctx context.Context, org uuid.UUID, ref string) (storage.Person, error) {
	if id, err := uuid.Parse(ref); err == nil {
		return d.store.Person(ctx, org, id)
	}
	address, err := personAddress(ref)
	if err != nil {
		return storage.Person{}, err
	}
	p, err := d.store.PersonByAddress(ctx, address)
	if err == nil && p.Org != org {
		return storage.Person{}, storage.ErrNotFound // AC-19
	}
	return p, err
}

// People lists an organization's people after an id, at most limit.
func (d *Directory) People(ctx context.Context, org, after uuid.UUID, limit int) ([]storage.Person, error) {
	return d.store.People(ctx, org, after, limit)
}
