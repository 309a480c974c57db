package submission

import (
	"context"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/server/policy"
	"postern/storage"
)

// subjects are what a message of this session is counted for.
func subjects(p *directory.Principal, domain uuid.UUID) policy.Subjects {
	return policy.Subjects{
		Organization: p.Credential.Org, Domain: domain, Agent: p.Agent.ID, Credential: p.Credential.ID, Inbox: p.Inbox.ID(),
	}
}

// standing is what holds for a session at this moment, and how far it is used up:
// what MAIL and RCPT are answered by.
func (o *Outbound) standing(ctx context.Context, s policy.Subjects) (policy.Rules, []storage.Usage, error) {
	rules, err := policy.Load(ctx, o.store, s)
	if err != nil {
		return policy.Rules{}, nil, err
	}
	usage, err := o.store.Usage(ctx, s.IDs()...)
	return rules, usage, err
}

// weigh asks the one gate within the transaction that stores the message, and
// counts the message when it is allowed: between the answer and the count there
// is nobody else, so that no limit is ever exceeded, and no reading comes between
// the question whether the agent is tainted and the message's leaving. A refusal
// is a *refusal.
func (o *Outbound) weigh(tx *storage.Tx, m *submission) (h hold, err error) {
	f := m.facts
	if f.Rules, err = policy.Load(context.Background(), o.store, m.subjects); err != nil {
		return h, err
	}
	if f.Usage, err = tx.Usage(m.subjects.IDs()...); err != nil {
		return h, err
	}
	if h, err = o.acquaint(tx, m, &f); err != nil {
		return h, err
	}
	d := policy.Submit(f)
	if !d.Allow {
		return h, &refusal{d}
	}
	tally := f.Tally()
	h.rules, h.warn, h.Holds, h.firstTime = d.Hold, d.Warn, f.Rules.Holds, tally.FirstTime
	return h, tx.CountUsage(tally, f.Usage...)
}

// refusal ends a transaction in which the gate said no.
type refusal struct{ policy.Decision }

func (r *refusal) Error() string { return r.Refusal().Error() }
