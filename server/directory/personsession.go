package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// What holds for people's sessions where policy says nothing else.
const (
	PersonSessionLength = 12 * time.Hour
	PersonSessionIdle   = 2 * time.Hour
	PersonProof         = 30 * time.Minute
)

// PeopleTerms are what policy says of people's sessions. A field that is zero stands
// for its default. // AC-15
type PeopleTerms struct {
	Factor string        // what must be shown to do anything: any, passkey; all else: nothing
	Length time.Duration // of a session
	Idle   time.Duration // how long it may lie unused
	Proof  time.Duration // for how long a person counts as just having shown who they are
}

// peopleTerms are the terms of now.
func (d *Directory) peopleTerms(ctx context.Context, org uuid.UUID) (t PeopleTerms, err error) {
	if d.people != nil {
		t, err = d.people(ctx, org)
	}
	t.Length, t.Idle, t.Proof = cmp.Or(t.Length, PersonSessionLength), cmp.Or(t.Idle, PersonSessionIdle), cmp.Or(t.Proof, PersonProof)
	return t, err
}

// How a person last showed in a session who they are.
const (
	methodPassword   = "password"
	methodInvitation = "invitation" // by a link that somebody sent them
	methodPasskey    = "passkey"
	methodRecovery   = "recovery"
	methodTOTP       = "totp"
	noFactor         = "none"
)

// maxPersonSessions is how many sessions one person has at a time; a new one
// ends the oldest.
const maxPersonSessions = 20

// sessionPrefix marks the token of a person's session, as others of ours are
// marked, for those who search files for secrets.
const sessionPrefix = "pst_session_"

// ErrSession: the token is of no session that lives.
var ErrSession = errors.New("directory: no such session")

// SessionSpec says what a person's session is to be.
type SessionSpec struct {
	ID     uuid.UUID     // zero: a new one
	Door   string        // "control", "panel"
	Factor bool          // a second factor was shown
	Length time.Duration // zero: as policy says
	Idle   time.Duration // zero: as policy says; negative: it may lie unused
	// Fresh is how long the beginning counts as the moment in which the person showed
	// who they are. Zero: as policy says. Only a laboratory sets it: such a session is
	// never asked for more.
	Fresh   time.Duration
	Method  string     // how the person showed who they are
	Proved  time.Time  // when, if that was not now
	Network netip.Addr // where from, if known
	Client  string     // with what, in its own words

	ruled bool // Length and Idle are those of policy
}

// PersonSession is a person in a session that lives.
type PersonSession struct {
	Person  storage.Person
	Session storage.PersonSession
	// Fresh is until when the person counts as just having shown who they are.
	Fresh time.Time
	// Must is what they have to set up before they may do anything else: "account",
	// "factor" or "passkey"; empty: nothing.
	Must string
}

// must is what a session lacks by the terms of now.
func (t PeopleTerms) must(ps *storage.PersonSession) string {
	switch {
	case ps.Method == methodInvitation:
		return "account"
	case ps.Fresh != 0: // a laboratory's
		return ""
	case t.Factor == "passkey" && ps.Method != methodPasskey:
		return "passkey"
	case t.Factor == "any" && !ps.Factor:
		return "factor"
	}
	return ""
}

// fresh is until when a session counts as just proved.
func (t PeopleTerms) fresh(ps *storage.PersonSession) time.Time {
	at := ps.Proved
	if at.IsZero() {
		at = ps.Created // of a session that is older than the question
	}
	return at.Add(cmp.Or(ps.Fresh, t.Proof))
}

// Actor is the person as events name them. unix is the Unix user who stands
// beside them, if there is one, and network where they connected from, if known.
func (ps *PersonSession) Actor(unix string, network netip.Addr) audit.Actor {
	name := ps.Person.Address
	if unix != "" {
		name += " as " + unix
	}
	return audit.Actor{Kind: audit.Person, ID: ps.Person.ID, Session: ps.Session.ID, Network: network, Name: name}
}

// StartSession begins a session of a person and returns its token, which is
// shown this once. It is for who has made sure of the person: Login does, and a
// laboratory or a test makes its own.
func (d *Directory) StartSession(ctx context.Context, actor audit.Actor, p storage.Person, spec SessionSpec) (ps storage.PersonSession, token string, err error) {
	if spec, err = d.ruled(ctx, p.Org, spec); err != nil {
		return ps, "", err
	}
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		e := tx.Record(audit.Event{Verb: audit.PersonLogin, Outcome: audit.OK, Org: p.Org, Object: p.ID,
			Fields:   audit.Fields{audit.Word(audit.KeyDoor, spec.Door), audit.Word(audit.KeyRule, "started")},
			Personal: audit.Fields{audit.Text(audit.KeyPerson, p.Address)}})
		ps, token, err = d.startSession(tx, e, &p, spec)
		return err
	})
	return ps, token, err
}

// ruled fills in what policy says, where a session is not told otherwise.
func (d *Directory) ruled(ctx context.Context, org uuid.UUID, spec SessionSpec) (SessionSpec, error) {
	t, err := d.peopleTerms(ctx, org)
	if spec.ruled = spec.Length == 0 && spec.Idle == 0; spec.ruled {
		spec.Length, spec.Idle = t.Length, t.Idle
	}
	spec.Length, spec.Idle = cmp.Or(spec.Length, t.Length), cmp.Or(spec.Idle, t.Idle)
	return spec, err
}

// startSession adds a session to a transaction, and takes away what is over.
func (d *Directory) startSession(tx *storage.Tx, e *audit.Event, p *storage.Person, spec SessionSpec) (storage.PersonSession, string, error) {
	others, err := tx.PersonSessions(p.ID)
	if err != nil {
		return storage.PersonSession{}, "", err
	}
	for i := range others {
		if !tx.Now().Before(others[i].Expires) || len(others)-i >= maxPersonSessions {
			if err := tx.DeletePersonSession(e, &others[i]); err != nil {
				return storage.PersonSession{}, "", err
			}
		}
	}
	token := NewSessionToken()
	ps := storage.PersonSession{Head: storage.Head{ID: spec.ID, Org: p.Org}, Person: p.ID, TokenHash: d.store.HashSession(token),
		Door: spec.Door, Factor: spec.Factor, Method: spec.Method, Proved: spec.Proved, Fresh: spec.Fresh, Ruled: spec.ruled,
		Network: spec.Network, Client: clientName(spec.Client), Expires: tx.Now().Add(spec.Length), Idle: max(spec.Idle, 0)}
	if err := tx.CreatePersonSession(e, &ps); err != nil {
		return ps, "", err
	}
	e.Fields = append(e.Fields, audit.ID(audit.KeySession, ps.ID), audit.Time(audit.KeyExpires, ps.Expires))
	if ps.Client != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyAgent, ps.Client))
	}
	return ps, token, nil
}

// maxClientName bounds what is kept of what a client calls itself, in bytes.
const maxClientName = 256

// clientName is what a client calls itself, as text on one line.
func clientName(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxClientName)], "")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}

// renewIn notes in a transaction that a person has shown in a session who they are.
// The session gets another token: one that somebody saw before is worth nothing now.
func (d *Directory) renewIn(tx *storage.Tx, e *audit.Event, ps storage.PersonSession, method string) (token string, err error) {
	token = NewSessionToken()
	ps.TokenHash = d.store.HashSession(token)
	if method != proofKept {
		ps.Proved, ps.Method, ps.Factor = tx.Now(), method, method != methodPassword
	}
	return token, tx.UpdatePersonSession(e, &ps)
}

// NewSessionToken makes a token of a person's session.
func NewSessionToken() string {
	text := sessionPrefix + randomBase62(randomLength)
	return text + checksum(text)
}

// IsSessionToken reports whether a text has the form and the checksum of the token
// of a person's session: a typing error is told from a guess before anything is
// looked up.
func IsSessionToken(text string) bool {
	random, ok := strings.CutPrefix(text, sessionPrefix)
	if !ok || len(random) != randomLength+sumLength || strings.Trim(random, base62) != "" {
		return false
	}
	body := text[:len(text)-sumLength]
	return checksum(body) == text[len(body):]
}

// PersonSession finds who acts by a session's token: ErrSession when it is
// wrong, has ended, or its person is disabled. What was revoked or disabled a
// moment ago is so now: nothing is remembered between two questions. // AC-9
func (d *Directory) PersonSession(ctx context.Context, token string) (*PersonSession, error) {
	ps, err := d.WatchedSession(ctx, token)
	if err == nil {
		d.personUse.touch(ps.Session.ID, d.now())
	}
	return ps, err
}

// WatchedSession is PersonSession for a page that only stays open: that is no use of
// a session, which may be over because nobody did anything.
func (d *Directory) WatchedSession(ctx context.Context, token string) (*PersonSession, error) {
	if !IsSessionToken(token) {
		return nil, fmt.Errorf("%w: this is not the token of a session", ErrSession)
	}
	ps, err := d.store.PersonSessionByHash(ctx, d.store.HashSession(token))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("%w: this server does not know it, or it was ended", ErrSession)
	}
	if err != nil {
		return nil, err
	}
	t, err := d.peopleTerms(ctx, ps.Org)
	if err != nil {
		return nil, err
	}
	now := d.now()
	ps = d.asOf(ps, t)
	switch ps.Ended(now) {
	case "idle":
		return nil, fmt.Errorf("%w: it was not used for %s", ErrSession, ps.Idle)
	case "expired":
		return nil, fmt.Errorf("%w: its time was over at %s", ErrSession, instant(ps.Expires))
	}
	p, err := d.store.Person(ctx, ps.Org, ps.Person)
	switch {
	case err != nil:
		return nil, err
	case !p.Disabled.IsZero():
		return nil, fmt.Errorf("%w: the account is disabled", ErrSession)
	}
	return &PersonSession{Person: p, Session: ps, Fresh: t.fresh(&ps), Must: t.must(&ps)}, nil
}

// asOf is a session with its last use, and with the ends that policy sets now.
func (d *Directory) asOf(ps storage.PersonSession, t PeopleTerms) storage.PersonSession {
	if at := d.personUse.of(ps.ID); at.After(ps.LastUsed) {
		ps.LastUsed = at
	}
	if ps.Ruled {
		if end := ps.Created.Add(t.Length); end.Before(ps.Expires) {
			ps.Expires = end
		}
		ps.Idle = min(ps.Idle, t.Idle)
	}
	return ps
}

// Lives reports whether a session that was found can still be used, without using it:
// ErrSession when it has ended meanwhile. // AC-9
func (d *Directory) Lives(ctx context.Context, ps *PersonSession) error {
	all, err := d.PersonSessions(ctx, ps.Person.Org, ps.Person.ID)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(s storage.PersonSession) bool { return s.ID == ps.Session.ID }) {
		return fmt.Errorf("%w: it has ended", ErrSession)
	}
	p, err := d.store.Person(ctx, ps.Person.Org, ps.Person.ID)
	if err == nil && !p.Disabled.IsZero() {
		err = fmt.Errorf("%w: the account is disabled", ErrSession)
	}
	return err
}

// PersonSessions lists the sessions of a person that live.
func (d *Directory) PersonSessions(ctx context.Context, org, person uuid.UUID) ([]storage.PersonSession, error) {
	t, err := d.peopleTerms(ctx, org)
	if err != nil {
		return nil, err
	}
	all, err := d.store.PersonSessions(ctx, org, person)
	var live []storage.PersonSession
	for _, ps := range all {
		if ps = d.asOf(ps, t); ps.Ended(d.now()) == "" {
			live = append(live, ps)
		}
	}
	return live, err
}

// EndPersonSession ends a session of a person; cause is a word such as "logout"
// or "revoked". storage.ErrNotFound when it has ended already.
func (d *Directory) EndPersonSession(ctx context.Context, actor audit.Actor, p storage.Person, session uuid.UUID, cause string) error {
	return d.store.Write(ctx, actor, func(tx *storage.Tx) error { return LogOut(tx, p, session, cause) })
}

// LogOut is EndPersonSession as a part of a transaction.
func LogOut(tx *storage.Tx, p storage.Person, session uuid.UUID, cause string) error {
	all, err := tx.PersonSessions(p.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(ps storage.PersonSession) bool { return ps.ID == session })
	if i < 0 {
		return storage.ErrNotFound
	}
	return tx.DeletePersonSession(tx.Record(audit.Event{Verb: audit.PersonLogout, Outcome: audit.OK, Org: p.Org, Object: p.ID,
		Fields:   audit.Fields{audit.Word(audit.KeyRule, cause), audit.ID(audit.KeySession, session)},
		Personal: audit.Fields{audit.Text(audit.KeyPerson, p.Address)}}), &all[i])
}

// endSessions ends a person's sessions but one, in a transaction, and says how
// many that were.
func endSessions(tx *storage.Tx, e *audit.Event, person, but uuid.UUID) (n int, err error) {
	all, err := tx.PersonSessions(person)
	for i := range all {
		if err == nil && all[i].ID != but {
			err = tx.DeletePersonSession(e, &all[i])
			n++
		}
	}
	return n, err
}
