package directory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// invitationLife is how long a link waits to be used, and welcomeLength how long the
// session lasts that it begins.
const (
	invitationLife = 72 * time.Hour
	welcomeLength  = time.Hour
)

// invitationPrefix marks the secret of a link, as other secrets of ours are marked.
const invitationPrefix = "pst_invite_"

// Invite makes the secret of a link by which a person begins their account, or begins
// it anew: with it they set a password, an authenticator or a passkey of their own,
// which nobody else has seen. It works once, for 72 hours; a newer one ends it. // AC-6
func (d *Directory) Invite(ctx context.Context, actor audit.Actor, org, person uuid.UUID) (p storage.Person, secret string, expires time.Time, err error) {
	if p, err = d.store.Person(ctx, org, person); err != nil {
		return p, "", expires, err
	}
	if !p.Disabled.IsZero() {
		return p, "", expires, fmt.Errorf("%w: the account is disabled", ErrState)
	}
	secret = invitationPrefix + randomBase62(randomLength)
	secret += checksum(secret)
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		expires = tx.Now().Add(invitationLife)
		e := tx.Record(personEvent(audit.PersonInvite, &p, "invited"))
		e.Fields = append(e.Fields, audit.Time(audit.KeyExpires, expires))
		return tx.CreateInvitation(e, &storage.Invitation{Head: storage.Head{Org: org}, Person: p.ID, TokenHash: d.store.HashInvitation(secret), Expires: expires})
	})
	return p, secret, expires, err
}

// Welcome is somebody with a link, at a door.
type Welcome struct {
	Org     uuid.UUID
	Secret  string
	Door    string
	Client  string
	Peer    audit.Actor
	Network netip.Addr
}

// errLink is the refusal of a link, the same whatever is wrong with it.
var errLink = fmt.Errorf("%w: this link was used already, or its time is over: ask for another", ErrRefused)

// Invited reports whether a link can be used; it stays as it is.
func (d *Directory) Invited(ctx context.Context, w Welcome) error {
	_, _, err := d.invited(ctx, w)
	return err
}

func (d *Directory) invited(ctx context.Context, w Welcome) (in storage.Invitation, p storage.Person, err error) {
	body, ok := strings.CutPrefix(w.Secret, invitationPrefix)
	if d.throttle.full(w.Network, d.now()) || !ok || len(body) != randomLength+sumLength {
		return in, p, errLink
	}
	in, err = d.store.InvitationByHash(ctx, d.store.HashInvitation(w.Secret))
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && in.Org != w.Org: // AC-19
		d.throttle.failed(w.Network, d.now())
		d.Refuse(w.Network, "LOGIN", "invitation")
		return in, p, errLink
	case err != nil:
		return in, p, err
	case !d.now().Before(in.Expires):
		return in, p, errLink
	}
	p, err = d.store.Person(ctx, in.Org, in.Person)
	if err == nil && !p.Disabled.IsZero() {
		err = errLink
	}
	return in, p, err
}

// EnterByInvitation uses a link up and begins a session of its person, in which they
// set up how they sign in and do nothing else. Who had the link may have been
// somebody else: as a second person the account counts a day later.
func (d *Directory) EnterByInvitation(ctx context.Context, w Welcome) (*PersonSession, string, error) {
	in, p, err := d.invited(ctx, w)
	if err != nil {
		return nil, "", err
	}
	entered := &PersonSession{Person: p, Must: "account"}
	entered.Session.ID = storage.NewID()
	t, err := d.peopleTerms(ctx, p.Org)
	if err != nil {
		return nil, "", err
	}
	spec := SessionSpec{ID: entered.Session.ID, Door: w.Door, Method: methodInvitation, Length: welcomeLength, Idle: t.Idle, Network: w.Network, Client: w.Client}
	was := p
	var token string
	err = d.store.Write(ctx, entered.Actor("", w.Network), func(tx *storage.Tx) (err error) {
		p = was
		p.Settled = tx.Now()
		e := tx.Record(personEvent(audit.PersonWelcome, &p, "invited"))
		e.Fields = append(e.Fields, audit.Word(audit.KeyDoor, w.Door))
		if err := errors.Join(tx.DeleteInvitation(e, &in), tx.UpdatePerson(e, &p)); err != nil {
			return err
		}
		entered.Session, token, err = d.startSession(tx, e, &p, spec)
		return err
	})
	if errors.Is(err, storage.ErrConflict) {
		err = errLink
	}
	entered.Person, entered.Fresh = p, t.fresh(&entered.Session)
	return entered, token, err
}
