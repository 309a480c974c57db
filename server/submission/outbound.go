package submission

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/server/message"
	"postern/server/policy"
	"postern/server/queue"
	"postern/storage"
	"postern/storage/audit"
)

// Options are what submission needs. Hostname is required.
type Options struct {
	Hostname string           // ours, in Received
	Expiry   time.Duration    // how long a recipient is tried; zero: queue.Expiry
	Judge    Judge            // scores what is sent, for the sender's own copy; nil: nobody does
	Queued   Queued           // hands the queue its work; nil: it finds it
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: nothing is logged
}

// Judge scores a message as delivery judges mail (delivery.Judge): the copy in Sent or
// Outbox lies in a mailbox, where another agent of the inbox may read what this one
// was made to write. It changes nothing about whether the message goes. An error is
// temporary. // PI-1, invariant 5
type Judge func(ctx context.Context, body *storage.Stage, s *message.Structure) (*storage.Scoring, error)

// Outbound takes submissions. It is safe for concurrent use.
type Outbound struct {
	store *storage.Store
	dir   *directory.Directory
	o     Options

	readings readings
}

// Queued is told, after the commit, of the rows that a message has in the queue.
type Queued func(rows []storage.Outgoing)

// NewOutbound makes an Outbound.
func NewOutbound(store *storage.Store, dir *directory.Directory, o Options) *Outbound {
	if o.Expiry == 0 {
		o.Expiry = queue.Expiry
	}
	if o.Queued == nil {
		o.Queued = func([]storage.Outgoing) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Outbound{store: store, dir: dir, o: o}
}

// Submitted is a message that an agent wants to send.
type Submitted struct {
	Principal   *directory.Principal
	HELO        string
	With        string // "ESMTPSA", "UTF8SMTPSA" (RFC 3848, RFC 6531)
	TLS, Cipher string // "TLS1.3", "TLS_AES_128_GCM_SHA256"
	From        message.Path
	To          []message.Path
	Stage       *storage.Stage // finished; the caller discards it
	RequireTLS  bool           // RFC 8689: only over authenticated TLS, at every hop
}

// Receipt is the answer to an accepted submission.
type Receipt struct {
	ID        uuid.UUID // of the submission: in the reply, in Received, in the log
	Duplicate bool      // the idempotency key was used before: ID is of that time
	Held      bool      // it waits for people to decide: ID names it to them
}

// RefusedError says why a sender, recipient or message was refused, with the
// reply that the agent gets.
type RefusedError = policy.RefusedError

// CheckSender decides about MAIL: an early answer to what Submit would refuse.
// A refusal is a *RefusedError, and in the log; a *directory.AuthError says that
// the session is over.
func (o *Outbound) CheckSender(ctx context.Context, p *directory.Principal, from message.Path) error {
	if err := o.dir.Check(p); err != nil {
		return err
	}
	area, err := o.reach(ctx, p, nil)
	if err != nil {
		return err
	}
	facts := senderFacts(p, from)
	if facts.Rules, facts.Usage, err = o.standing(ctx, subjects(p, area.domain.ID)); err != nil {
		return err
	}
	return o.refused(ctx, p, "MAIL", policy.Sender(facts), from, nil)
}

// CheckRecipient decides about RCPT: count is the number of recipients with this
// one. It never tells whether an inbox exists. // AC-5
func (o *Outbound) CheckRecipient(ctx context.Context, p *directory.Principal, to message.Path, count int) error {
	if err := o.dir.Check(p); err != nil {
		return err
	}
	area, err := o.reach(ctx, p, []message.Path{to})
	if err != nil {
		return err
	}
	facts := policy.RecipientFacts{
		Env: p.Inbox.Env(), Owned: area.domain.Owned, Remote: !area.local[0] && p.Inbox.Env() != storage.Test, Count: count,
		To: policy.Addressee{Address: to.Canonical().String(), Inside: area.inside[0]},
	}
	if facts.Rules, facts.Usage, err = o.standing(ctx, subjects(p, area.domain.ID)); err != nil {
		return err
	}
	if facts.Rules.RepliesOnly() {
		c, err := p.Inbox.Correspondent(ctx, facts.To.Address)
		if err != nil {
			return err
		}
		facts.To.Wrote = !c.FirstReceived.IsZero()
	}
	return o.refused(ctx, p, "RCPT", policy.Recipient(facts), message.Path{}, []message.Path{to})
}

func senderFacts(p *directory.Principal, from message.Path) policy.SenderFacts {
	f := policy.SenderFacts{
		Credential: &p.Credential, Agent: p.Agent.ID, AgentState: p.Agent.State,
		Inbox: p.Inbox.ID(), Address: p.Inbox.Address(), Env: p.Inbox.Env(),
	}
	if !from.IsNull() {
		f.Envelope = from.Canonical().String()
	}
	return f
}

// area is where a message goes.
type area struct {
	domain storage.Domain // of the sender
	local  []bool         // by recipient: delivered here
	inside []bool         // by recipient: of the sender's organization
}

// reach finds out which domain the sender is of, and which of the recipients are
// here. The bare postmaster is ours.
func (o *Outbound) reach(ctx context.Context, p *directory.Principal, to []message.Path) (a area, err error) {
	address := p.Inbox.Address()
	if a.domain, _, err = o.dir.Local(ctx, address[strings.LastIndexByte(address, '@')+1:]); err != nil {
		return area{}, err
	}
	type place struct{ local, inside bool }
	known := map[string]place{"": {true, true}, a.domain.Name: {true, true}}
	for _, path := range to {
		name := message.CanonicalDomain(path.Domain)
		at, asked := known[name]
		if !asked {
			domain, here, err := o.dir.Local(ctx, name)
			if err != nil {
				return area{}, err
			}
			at = place{here, here && domain.Org == p.Credential.Org}
			known[name] = at
		}
		a.local, a.inside = append(a.local, at.local), append(a.inside, at.inside)
	}
	return a, nil
}

// refused records a refusal by policy and returns it; nil when it allows. What is
// known of the message beyond its envelope, about adds. // AU-13
func (o *Outbound) refused(ctx context.Context, p *directory.Principal, command string, d policy.Decision, from message.Path, to []message.Path, about ...func(*audit.Event)) error {
	if d.Allow {
		return nil
	}
	refused := d.Refusal()
	err := o.store.Write(ctx, p.Actor(), func(tx *storage.Tx) error {
		e := audit.Event{
			Verb: audit.MessageRefused, Outcome: audit.Refused,
			Org: p.Credential.Org, Agent: p.Agent.ID, Credential: p.Credential.ID, Inbox: p.Inbox.ID(),
			Fields: audit.Fields{
				audit.Word(audit.KeyDoor, p.Door), audit.Word(audit.KeyCommand, command), audit.Word(audit.KeyRule, d.Rule.String()),
				audit.Int(audit.KeyCode, refused.Code), audit.Word(audit.KeyEnhanced, refused.Enhanced)},
		}
		if d.Level != "" {
			e.Fields = append(e.Fields, audit.Word(audit.KeyLevel, string(d.Level)))
		}
		if d.Retry > 0 {
			e.Fields = append(e.Fields, audit.Int(audit.KeyRetry, d.Seconds()))
		}
		if !from.IsNull() {
			e.Personal = append(e.Personal, audit.Text(audit.KeyFrom, from.String()))
		}
		for _, path := range to {
			e.Personal = append(e.Personal, audit.Text(audit.KeyTo, path.String()))
		}
		for _, fn := range about {
			fn(&e)
		}
		tx.Record(e)
		if !d.Rule.Limits() {
			return nil
		}
		return tx.RaiseAlert(storage.Alert{
			Head: storage.Head{Org: e.Org}, Kind: storage.AlertLimitReached, Agent: e.Agent, Credential: e.Credential, Inbox: e.Inbox,
			Detail: fmt.Sprintf("the agent was refused by %s of its %s: postern credential show", d.Rule, d.Level),
		})
	})
	if err != nil {
		return err
	}
	return refused
}
