package delivery

import (
	"context"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/server/msgauth"
	"postern/server/policy"
	"postern/storage"
)

// author is who provably wrote a message to one recipient: the one address in From,
// where the domain vouches for it, or a credential of the recipient's organization. An
// address elsewhere in the message, and whatever it says of itself, counts for nothing.
func (m *mail) author(t *target) policy.Author {
	if len(m.structure.Envelope.From) != 1 {
		return policy.Author{}
	}
	from := m.structure.Envelope.From[0]
	path, err := message.NewPath(from.Mailbox, from.Host, true)
	if err != nil {
		return policy.Author{}
	}
	a := policy.Author{Address: path.Canonical().String()}
	switch m.origin {
	case storage.OriginMX:
		a.Verified = m.auth.DMARC.Value == msgauth.Pass && m.auth.DMARC.Domain == message.CanonicalDomain(path.Domain)
	case storage.OriginSubmission:
		a.Verified = m.r.org == t.record.Org
	}
	return a
}

// allowance finds the exception by which a person lets in mail of the author, if the
// verdict is one that there are exceptions from.
func (in *Inbound) allowance(ctx context.Context, m *mail, t *target) (id uuid.UUID, ok bool, err error) {
	if v := m.judgement.Verdict; v != storage.Suspicious && v != storage.Quarantine {
		return uuid.Nil, false, nil
	}
	all, err := in.store.AllowancesOf(ctx, t.record.Org, t.record.ID)
	if err != nil || len(all) == 0 {
		return uuid.Nil, false, err
	}
	id, ok = policy.Allowance(all, m.author(t), in.o.Now())
	return id, ok, nil
}
