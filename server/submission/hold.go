package submission

import (
	"context"
	"slices"
	"time"

	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// hold is why a message waits for people, and on what terms; without rules it does
// not wait. // PI-6
type hold struct {
	policy.Holds
	rules []policy.Rule
	warn  []policy.Rule // by which it would have been better otherwise
	taint time.Time     // since when the agent is tainted; zero when it is not

	firstTime int64  // recipients to whom the inbox had never written
	noted     []bool // by recipient: the inbox knows already that it sends there
}

// acquaint adds to the facts what the inbox knows of the recipients, and whether
// the agent is tainted, by whichever of its credentials and in whichever inbox it
// read. A recipient is excepted from the taint when mail went both ways before the
// taint began, the one that came was found clean and authenticated, and none of
// the messages that taint came from that address. // PI-5
func (o *Outbound) acquaint(tx *storage.Tx, m *submission, f *policy.SubmitFacts) (h hold, err error) {
	p := m.s.Principal
	taint, err := tx.Taint(p.Credential.Org, p.Agent.ID)
	if err != nil {
		return h, err
	}
	h.taint, f.Tainted = taint.During(f.Rules.Holds.Taint, tx.Now())
	f.To = slices.Clone(f.To) // the transaction may run again
	for i := range f.To {
		to := &f.To[i]
		c, err := tx.Correspondent(p.Inbox, to.Address)
		if err != nil {
			return h, err
		}
		h.noted = append(h.noted, c.SentBy(tx.Now()))
		to.Known, to.Wrote, to.DomainKnown = !c.FirstSent.IsZero(), !c.FirstReceived.IsZero(), true
		if !to.Known && f.Rules.Holds.NewDomain {
			domain, err := tx.CorrespondentDomain(p.Inbox, to.Address)
			if err != nil {
				return h, err
			}
			to.DomainKnown = !domain.FirstSent.IsZero()
		}
		if f.Tainted && before(c.FirstSent, h.taint) && before(c.FirstClean, h.taint) {
			wrote, err := o.store.TaintedBy(context.Background(), &taint, to.Address)
			if err != nil {
				return h, err
			}
			to.Exchanged = !wrote
		}
	}
	return h, nil
}

func before(t, since time.Time) bool { return !t.IsZero() && t.Before(since) }

// send puts a message that need not wait on its way: the copy in Sent, and a row
// in the queue for each recipient.
func (o *Outbound) send(tx *storage.Tx, e *audit.Event, m *submission, body storage.BodyRef, h hold) error {
	if _, err := tx.Deposit(e, m.s.Principal.Inbox, m.mailbox, m.copy(tx, body)); err != nil {
		return err
	}
	row := m.row(storage.OutgoingQueued, tx.Now().Add(o.o.Expiry))
	for i, path := range m.s.To {
		if !h.noted[i] {
			if err := tx.NoteSent(m.s.Principal.Inbox, m.facts.To[i].Address); err != nil {
				return err
			}
		}
		if err := m.enqueue(tx, e, row, i, path, body); err != nil {
			return err
		}
	}
	return nil
}

// wait puts a message where it waits for people: the copy in Outbox with the mark
// that says so, rows that are held until the wait is over, and the record of who
// is to decide what. Whom it is for is not noted as known before it goes.
func (o *Outbound) wait(tx *storage.Tx, e *audit.Event, m *submission, body storage.BodyRef, h hold) error {
	p := m.s.Principal
	e.Outcome = audit.Held
	outbox, err := p.Inbox.MailboxByRole(context.Background(), storage.RoleOutbox)
	if err != nil {
		return err
	}
	d := m.copy(tx, body)
	d.Flags |= storage.Held
	uid, err := tx.Deposit(e, p.Inbox, outbox.ID, d)
	if err != nil {
		return err
	}
	a := storage.Approval{
		Head: storage.Head{ID: m.id, Org: p.Credential.Org}, Inbox: p.Inbox.ID(), Agent: p.Agent.ID, Credential: p.Credential.ID,
		Persons: max(h.Persons, 1), Expires: tx.Now().Add(h.Expiry), Outbox: outbox.ID, UID: uid,
		MessageID: m.message, SHA256: m.sent.SHA256[:], From: m.s.From.String(),
	}
	for _, r := range h.rules {
		a.Rules = append(a.Rules, r.String())
	}
	row := m.row(storage.OutgoingHeld, a.Expires)
	row.Approval = true
	for i, path := range m.s.To {
		if m.captured[i] {
			continue
		}
		a.Recipients = append(a.Recipients, path.String())
		if err := m.enqueue(tx, e, row, i, path, body); err != nil {
			return err
		}
	}
	if err := tx.CreateApproval(tx.Record(h.event(m, &a)), &a); err != nil {
		return err
	}
	return tx.RaiseAlert(storage.Alert{
		Head: storage.Head{Org: a.Org}, Kind: storage.AlertHoldWaiting, Agent: a.Agent, Credential: a.Credential, Inbox: a.Inbox,
		Detail: "a message of the agent waits for people to decide: postern approval list",
	})
}

// event says which rules made the message wait, for how many people and until when.
func (h hold) event(m *submission, a *storage.Approval) audit.Event {
	e := audit.Event{
		Verb: audit.MessageHeld, Outcome: audit.Held, Org: a.Org, Agent: a.Agent, Credential: a.Credential, Inbox: a.Inbox, Object: a.ID,
		Fields: audit.Fields{audit.Int(audit.KeyPersons, a.Persons), audit.Time(audit.KeyExpires, a.Expires),
			audit.Int(audit.KeyRecipients, len(a.Recipients)), audit.Digest(audit.KeySHA256, a.SHA256)},
		Personal: audit.Fields{audit.Text(audit.KeyFrom, a.From), audit.Text(audit.KeyMessageID, a.MessageID)},
	}
	for _, r := range a.Rules {
		e.Fields = append(e.Fields, audit.Word(audit.KeyRule, r))
	}
	if !h.taint.IsZero() {
		e.Fields = append(e.Fields, audit.Time(audit.KeySince, h.taint))
	}
	return e
}

// waits reports whether the message must wait. One that is captured whole goes
// nowhere, so that nobody need be asked. // AC-14
func (h hold) waits(m *submission) bool {
	return len(h.rules) > 0 && slices.Contains(m.captured, false)
}
