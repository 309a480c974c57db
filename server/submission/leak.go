package submission

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// A token in a message is one that got out: an agent was talked into saying its
// own, or copied a log. Tokens have a prefix and a checksum so that they are
// found without a false alarm; what is found is looked up, and a credential's that
// this server minted stops the message, whether it still opens anything or not. So
// does that of a person's session, which ends at once: no agent has a use for it,
// but to do what is reserved for people. // AC-6

// maxTokens is how many different tokens are looked up. A message with more is
// not a message.
const maxTokens = 4096

// errTokens ends a search that found more.
var errTokens = errors.New("submission: too many tokens in a message")

// leak is what a message gives away.
type leak struct {
	credentials []storage.Credential
	sessions    []directory.PersonSession
	addressed   bool // one is, or looks like, a part of a recipient's address
	many        bool // there were more tokens than are looked up
}

func (l *leak) found() bool { return l.many || len(l.credentials) > 0 || len(l.sessions) > 0 }

// leaks finds the credentials and the people's sessions whose tokens stand in a
// message, or in the address of one of its recipients: whoever has a domain reads
// what is written before the @.
func (o *Outbound) leaks(ctx context.Context, m *submission) (l leak, err error) {
	tokens := map[string]bool{}
	found := func(token string) error {
		if ours(token) {
			tokens[token] = true
		}
		if len(tokens) > maxTokens {
			return errTokens
		}
		return nil
	}
	for _, to := range m.s.To {
		if err == nil {
			err = searchText(to.String(), found)
		}
	}
	l.addressed = len(tokens) > 0
	if err == nil {
		err = searchMessage(m.s.Stage, m.whole, m.header, found)
	}
	if errors.Is(err, errTokens) {
		l.many = true
		return l, nil
	}
	if err != nil {
		return leak{}, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	for token := range tokens {
		err := o.identify(ctx, token, &l)
		if err != nil && !errors.Is(err, storage.ErrNotFound) { // of another server, or of nobody
			return leak{}, err
		}
	}
	return l, nil
}

// ours reports whether a text has the form and the checksum of a token.
func ours(token string) bool {
	_, err := directory.ParseToken(token)
	return err == nil || directory.IsSessionToken(token)
}

// identify adds what a token opens, or opened.
func (o *Outbound) identify(ctx context.Context, token string, l *leak) error {
	if directory.IsSessionToken(token) {
		ps, err := o.store.PersonSessionByHash(ctx, o.store.HashSession(token))
		if err != nil {
			return err
		}
		who, err := o.store.Person(ctx, ps.Org, ps.Person)
		if err == nil {
			l.sessions = append(l.sessions, directory.PersonSession{Person: who, Session: ps})
		}
		return err
	}
	c, err := o.store.CredentialByHash(ctx, o.store.HashToken(token))
	if err == nil {
		l.credentials = append(l.credentials, c)
	}
	return err
}

// recordLeak ends the people's sessions whose tokens stood in a message, and says
// of each of these and of each credential in the log of its organization, and to
// its people, that its token did. Who sent it is in the log of the sender's, with
// the refusal. // AC-18, AC-19
func (o *Outbound) recordLeak(ctx context.Context, m *submission, l leak) error {
	if len(l.credentials) == 0 && len(l.sessions) == 0 {
		return nil
	}
	err := o.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		for _, c := range l.credentials {
			if err := o.credentialLeaked(tx, m, &c); err != nil {
				return err
			}
		}
		for _, ps := range l.sessions {
			if err := endLeaked(tx, m, &ps); err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, storage.ErrNoEvent) {
		return nil // the sessions were ended a moment ago, by another message
	}
	return err
}

// credentialLeaked records that the token of a credential stood in a message.
func (o *Outbound) credentialLeaked(tx *storage.Tx, m *submission, c *storage.Credential) error {
	p := m.s.Principal
	e := audit.Event{Verb: audit.CredentialLeaked, Outcome: audit.Refused, Org: c.Org, Agent: c.Agent, Credential: c.ID,
		Fields: audit.Fields{audit.Word(audit.KeyState, state(c, o.o.Now()))}}
	a := storage.Alert{Head: storage.Head{Org: c.Org}, Kind: storage.AlertTokenLeaked, Agent: c.Agent, Credential: c.ID,
		Detail: "a message that was stopped contained the token " + c.PublicID + "…: revoke it and issue another"}
	if c.Org == p.Credential.Org {
		e.Inbox = p.Inbox.ID()
		e.Fields = append(e.Fields, audit.ID(audit.KeyCredential, p.Credential.ID))
		a.Inbox = p.Inbox.ID()
	}
	tx.Record(e)
	return tx.RaiseAlert(a)
}

// endLeaked ends a person's session, since whoever has its token acts as that person,
// and tells the people of its organization: also which agent had it, if that is one
// of theirs.
func endLeaked(tx *storage.Tx, m *submission, ps *directory.PersonSession) error {
	if err := directory.LogOut(tx, ps.Person, ps.Session.ID, "leaked"); err != nil {
		return err
	}
	a := storage.Alert{Head: storage.Head{Org: ps.Person.Org}, Kind: storage.AlertTokenLeaked, Object: ps.Session.ID,
		Detail: "a message that was stopped contained the token of a person's session, which was ended: see what was done in it, and how the agent came by it"}
	if p := m.s.Principal; a.Org == p.Credential.Org {
		a.Agent, a.Credential, a.Inbox = p.Agent.ID, p.Credential.ID, p.Inbox.ID()
	}
	return tx.RaiseAlert(a)
}

// state is whether a token still opens something.
func state(c *storage.Credential, now time.Time) string {
	switch {
	case !c.Revoked.IsZero():
		return "revoked"
	case !now.Before(c.Expires):
		return "expired"
	}
	return "active"
}
