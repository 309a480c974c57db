package directory

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"time"

	"github.com/pquerna/otp/totp"

	"postern/storage"
	"postern/storage/audit"
)

// Proof is what somebody shows in their session to have it taken for theirs again:
// a passkey, a code, or, who has no second factor, their password.
type Proof struct {
	Code     string
	Password string
	Passkey  []byte
	Asked    Asked
}

// Renew notes that a person showed again who they are, and returns the session's new
// token: the one before opens nothing any more. ErrRefused when it does not hold,
// under the limits that a login has; what was wrong is for the log alone. // AC-12
func (d *Directory) Renew(ctx context.Context, by *PersonSession, actor audit.Actor, proof Proof) (token string, err error) {
	began := time.Now()
	token, err = d.renew(ctx, by, actor, proof)
	if err != nil {
		select {
		case <-time.After(time.Until(began.Add(refusalTime))):
		case <-ctx.Done():
		}
	}
	return token, err
}

func (d *Directory) renew(ctx context.Context, by *PersonSession, actor audit.Actor, proof Proof) (token string, err error) {
	a := PersonAttempt{Address: by.Person.Address, Door: by.Session.Door, Peer: actor, Network: actor.Network}
	place := guessed{by.Person.Address, actor.Network}
	now := d.now()
	if d.guesses.full(place.key(), placeGuesses, now) || d.guesses.full(place.codeKey(), codeGuesses, now) {
		return "", fmt.Errorf("%w: too many failures: try later", ErrRefused)
	}
	for range loginTries {
		method, rule, use, err := d.proved(ctx, by, actor, proof)
		switch {
		case err != nil:
			return "", err
		case rule != "":
			d.countGuess(a, place, rule)
			err := d.refusePerson(ctx, a, &by.Person, rule)
			if no := (*AuthError)(nil); errors.As(err, &no) && no.Cause == nil {
				err = fmt.Errorf("%w: that does not show who you are (%s)", ErrRefused, no.Trace)
			}
			return "", err
		}
		err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
			e := tx.Record(personEvent(audit.PersonRenew, &by.Person, "renewed"))
			e.Fields = append(e.Fields, audit.Word(audit.KeyDoor, by.Session.Door), audit.Word(audit.KeyFactor, method))
			if err := use(tx, e); err != nil {
				return err
			}
			token, err = d.renewIn(tx, e, by.Session, method)
			return err
		})
		if !errors.Is(err, storage.ErrConflict) {
			return token, err
		}
	}
	return "", storage.ErrConflict
}

// proved holds a proof to a person, and says how its use is written down.
func (d *Directory) proved(ctx context.Context, by *PersonSession, actor audit.Actor, proof Proof) (method, rule string, use func(*storage.Tx, *audit.Event) error, err error) {
	if len(proof.Passkey) > 0 {
		return d.provedByPasskey(ctx, by, actor, proof)
	}
	p, err := d.store.Person(ctx, by.Person.Org, by.Person.ID)
	if err != nil {
		return "", "", nil, err
	}
	keys, err := d.passkeysOf(ctx, &p, true)
	if err != nil {
		return "", "", nil, err
	}
	if len(p.TOTP) == 0 && len(keys) == 0 {
		right, err := d.passwords.right(ctx, p.Password, normalPassword(proof.Password))
		if !right {
			rule = "password"
		}
		return methodPassword, rule, func(*storage.Tx, *audit.Event) error { return nil }, err
	}
	if method, rule = d.useCode(&p, p.ID, proof.Code, d.now()); rule == "" {
		rule, err = d.enough(ctx, &p, method, len(keys) > 0)
	}
	was := p
	return method, rule, func(tx *storage.Tx, e *audit.Event) error { p = was; return tx.UpdatePerson(e, &p) }, err
}

func (d *Directory) provedByPasskey(ctx context.Context, by *PersonSession, actor audit.Actor, proof Proof) (method, rule string, use func(*storage.Tx, *audit.Event) error, err error) {
	proof.Asked.For = PasskeyProve
	s, _, err := d.check(ctx, by.Person.Org, proof.Asked, proof.Passkey)
	var no *errPasskey
	switch {
	case errors.As(err, &no):
		return "", no.rule, nil, nil
	case err != nil:
		return "", "", nil, err
	case s.person.ID != by.Person.ID:
		return "", "passkey-person", nil, nil
	case s.suspect:
		return "", "passkey-suspect", nil, d.suspectKey(ctx, actor, s)
	}
	return methodPasskey, "", func(tx *storage.Tx, e *audit.Event) error {
		k := s.key
		e.Fields = append(e.Fields, audit.ID(audit.KeyPasskey, k.ID))
		return tx.UpdatePasskey(e, &k)
	}, nil
}

// ProposeTOTP makes a secret for an authenticator, which becomes a person's by
// SetTOTP. Nothing is stored.
func (d *Directory) ProposeTOTP(p *storage.Person) (*Factor, error) {
	trial := storage.Person{Address: p.Address}
	f, err := d.newFactor(&trial)
	if err == nil {
		f.Recovery = nil
	}
	return f, err
}

// SetTOTP gives a person in their session the authenticator whose secret ProposeTOTP
// made, when it shows the right code. The one before and its recovery codes end, and
// so do their other sessions; this one gets another token.
func (d *Directory) SetTOTP(ctx context.Context, by *PersonSession, actor audit.Actor, secret, code string) (f *Factor, token string, err error) {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil || len(raw) != totpSecret {
		return nil, "", fmt.Errorf("%w: this is not a secret that was proposed", ErrInvalid)
	}
	step, ok := matchStep(raw, plainCode(code), d.now())
	if !ok {
		return nil, "", fmt.Errorf("%w: the code is not the one that the authenticator shows now: look at its clock", ErrInvalid)
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: by.Person.Address, Period: totpPeriod, Secret: raw})
	if err != nil {
		return nil, "", err
	}
	f = &Factor{Secret: key.Secret(), URI: key.URL()}
	_, token, err = d.changeOwn(ctx, by, actor, "authenticator", methodTOTP, func(p *storage.Person) error {
		p.TOTP, p.Step, f.Recovery = raw, step, d.newRecovery(p)
		return nil
	})
	return f, token, err
}

// RenewRecovery gives a person in their session new recovery codes; the old ones end.
func (d *Directory) RenewRecovery(ctx context.Context, by *PersonSession, actor audit.Actor) (codes []string, err error) {
	_, _, err = d.changeOwn(ctx, by, actor, "recovery", "", func(p *storage.Person) error {
		codes = d.newRecovery(p)
		return nil
	})
	return codes, err
}

// SetPassword gives a person in their session another password, or the first. Who
// came by a link says none; everybody else the one that they have. Their other
// sessions end, and this one gets another token.
func (d *Directory) SetPassword(ctx context.Context, by *PersonSession, actor audit.Actor, old, new string) (storage.Person, string, error) {
	text, err := checkPassword(new, by.Person.Address)
	if err != nil {
		return storage.Person{}, "", err
	}
	if by.Session.Method != methodInvitation && by.Person.Password != nil {
		if err := d.provePassword(ctx, actor, &by.Person, old); err != nil {
			return storage.Person{}, "", err
		}
	}
	hashed, err := d.passwords.hash(ctx, text)
	if err != nil {
		return storage.Person{}, "", err
	}
	method := proofKept
	if by.Session.Method == methodInvitation || by.Session.Method == methodPassword {
		method = methodPassword
	}
	return d.changeOwn(ctx, by, actor, "password", method, func(p *storage.Person) error {
		p.Password = hashed
		return nil
	})
}

// proofKept, in place of a method, gives a session another token and lets it count as
// proved when it was: a password stands for no second factor.
const proofKept = "kept"

// changeOwn is changePerson for a person in their session. With a method the session
// counts as just proved by it, and gets another token.
func (d *Directory) changeOwn(ctx context.Context, by *PersonSession, actor audit.Actor, what, method string, change func(p *storage.Person) error) (p storage.Person, token string, err error) {
	p, err = d.changing(ctx, actor, by.Person.Org, by.Person.ID, what, change, func(tx *storage.Tx, e *audit.Event) error {
		if method == "" {
			return nil
		}
		var err error
		token, err = d.renewIn(tx, e, by.Session, method)
		return err
	})
	return p, token, err
}

// HandSession begins another session of a person in theirs, for the command line:
// who signs in by a passkey can do so in a browser alone. It is proved as theirs is.
func (d *Directory) HandSession(ctx context.Context, by *PersonSession, actor audit.Actor, door string) (*PersonSession, string, error) {
	spec, err := d.ruled(ctx, by.Person.Org, SessionSpec{Door: door, Factor: by.Session.Factor, Method: by.Session.Method, Proved: by.Session.Proved,
		Network: actor.Network, Client: by.Session.Client})
	if err != nil {
		return nil, "", err
	}
	handed := *by
	var token string
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) (err error) {
		e := tx.Record(personEvent(audit.PersonLogin, &by.Person, "handed"))
		e.Fields = append(e.Fields, audit.Word(audit.KeyDoor, door))
		handed.Session, token, err = d.startSession(tx, e, &by.Person, spec)
		return err
	})
	return &handed, token, err
}
